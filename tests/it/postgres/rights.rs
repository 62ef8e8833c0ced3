//! The rights that the documentation asks for are enough.

use std::time::Duration;

use tower_idempotency::testing::{Capabilities, admin_conformance, conformance};

use super::guard::{acquired, run};
use crate::support::{
    claims::{documented, fresh},
    postgres::{Driver, PostgresServer, Stores},
};

/// Makes the tables as their owner, and returns the stores of a role with the documented rights.
async fn granted(server: &PostgresServer, transactional: bool) -> Stores {
    let mut stores = Stores::new(server, Driver::Deadpool);
    stores.transactional = transactional;
    stores.deadline = Duration::from_secs(20);
    stores.connections = 40;
    stores.migrate().await;
    let grant = documented("docs/postgres.md", "GRANT ");
    let effects = format!("{}_effects", stores.table);
    let grant = grant.replace("idempotency_effects", &effects);
    server
        .run(&grant.replace("ON idempotency,", &format!("ON {},", stores.table)))
        .await;
    stores.url = stores.url.replace("postgres@", "shop@");
    stores
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough() {
    let server = PostgresServer::start();
    server
        .run("CREATE ROLE shop LOGIN; CREATE ROLE handler LOGIN")
        .await;
    let stores = granted(&server, false).await;
    conformance(|| stores.open(), Capabilities::durable())
        .await
        .unwrap();
    admin_conformance(|| stores.open(), Capabilities::durable())
        .await
        .unwrap();
    stores.open().await.clean_up().await.unwrap();

    // A role that runs the guard alone.
    let table = &stores.table;
    let grant = format!(
        "GRANT SELECT, UPDATE ON {table} TO handler; \
         GRANT SELECT, INSERT, UPDATE ON {table}_effects TO handler"
    );
    server.run(&grant).await;
    let guard = acquired(&stores.open().await, &fresh())
        .await
        .guard
        .unwrap();
    let url = stores.url.replace("shop@", "handler@");
    let (handler, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    assert_eq!(run(&handler, &guard).await, 1);

    let store = granted(&server, true).await.open().await;
    let capabilities = Capabilities::transactional().at_once(6);
    conformance(|| async { store.clone() }, capabilities)
        .await
        .unwrap();
}
