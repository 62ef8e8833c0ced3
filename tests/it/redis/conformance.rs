use std::env;

use tower_idempotency::{
    RedisStore,
    testing::{Capabilities, conformance},
};

use crate::support::redis::RedisServer;

async fn keeps_its_contract(server: &RedisServer) {
    let url = server.url();
    conformance(
        || async { RedisStore::connect(&url).await.unwrap() },
        Capabilities::durable(),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract() {
    keeps_its_contract(&RedisServer::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_on_a_unix_socket() {
    let server = RedisServer::start();
    let url = server.unix_url();
    conformance(
        || async { RedisStore::connect(&url).await.unwrap() },
        Capabilities::durable(),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_over_a_connection_of_the_users() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    conformance(
        || async {
            let connection = client.get_multiplexed_async_connection().await.unwrap();
            let builder = RedisStore::builder();
            builder.connect_with(connection).await.unwrap()
        },
        Capabilities::durable(),
    )
    .await
    .unwrap();
}

/// The servers of other versions that `REDIS_SERVERS` names, with colons between.
#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_on_the_servers_of_other_versions() {
    for program in env::var("REDIS_SERVERS")
        .iter()
        .flat_map(|it| it.split(':'))
    {
        println!("{program}");
        keeps_its_contract(&RedisServer::of(program, &[])).await;
    }
}
