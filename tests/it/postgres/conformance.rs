use std::time::Duration;

use tower_idempotency::testing::{Capabilities, conformance};

use crate::support::postgres::{Driver, PostgresServer, Stores};

async fn keeps_its_contract(server: &PostgresServer, driver: Driver, transactional: bool) {
    let mut stores = Stores::new(server, driver);
    stores.transactional = transactional;
    // Two hundred claims at once share forty connections.
    stores.deadline = Duration::from_secs(20);
    stores.connections = 40;
    stores.migrate().await;
    // Each check may hold four claims, and a claim may be a connection.
    let kept = if transactional {
        // A transaction lives in one process. Each check may hold four.
        let store = stores.open().await;
        let capabilities = Capabilities::transactional().at_once(6);
        conformance(|| async { store.clone() }, capabilities).await
    } else {
        conformance(|| stores.open(), Capabilities::durable()).await
    };
    kept.unwrap_or_else(|violations| panic!("{driver:?} on {}: {violations}", server.version()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_claimed_mode_keeps_the_contract_on_every_version() {
    for server in PostgresServer::of_every_version() {
        for driver in Driver::ALL {
            keeps_its_contract(&server, driver, false).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_transactional_mode_keeps_what_it_can_promise_on_every_version() {
    for server in PostgresServer::of_every_version() {
        for driver in Driver::ALL {
            keeps_its_contract(&server, driver, true).await;
        }
    }
}
