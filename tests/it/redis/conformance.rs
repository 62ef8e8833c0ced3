use redis::AsyncConnectionConfig;
use tower_idempotency::testing::{Capabilities, conformance};

use crate::support::{redis::RedisServer, redis_store::patient};

async fn keeps_its_contract(url: &str, server: &RedisServer) {
    let factory = || async { patient().connect(url).await.unwrap() };
    let kept = conformance(factory, Capabilities::durable()).await;
    kept.unwrap_or_else(|violations| panic!("{}: {violations}", server.version()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_on_every_version() {
    for server in RedisServer::of_every_version() {
        keeps_its_contract(&server.url(), &server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_on_a_unix_socket() {
    let server = RedisServer::start();
    keeps_its_contract(&server.unix_url(), &server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract_over_a_connection_of_the_users() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    conformance(
        || async {
            // The store's own deadline decides, not the connection's.
            let config = AsyncConnectionConfig::new().set_response_timeout(None);
            let connection = client.get_multiplexed_async_connection_with_config(&config);
            patient()
                .connect_with(connection.await.unwrap())
                .await
                .unwrap()
        },
        Capabilities::durable(),
    )
    .await
    .unwrap();
}
