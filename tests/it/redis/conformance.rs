use tower_idempotency::{
    RedisStore,
    testing::{Capabilities, conformance},
};

use crate::support::redis::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_keeps_its_contract() {
    let server = RedisServer::start();
    let url = server.url();
    conformance(
        || async { RedisStore::connect(&url).await.unwrap() },
        Capabilities::durable(),
    )
    .await
    .unwrap();
}
