//! A handler that writes with a library of its own, tied to its claim by a guard.

use std::{net::TcpListener, time::Duration};

use http::Request;
use tokio::{task::JoinSet, time::timeout};

use crate::support::{
    examples::Serving,
    postgres::PostgresServer,
    sockets::{Client, Dice, Version},
};

const KEYS: usize = 60;
const CLIENTS: usize = 6;
const KILLS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn no_payment_is_made_twice_or_lost_while_the_server_is_killed() {
    let postgres = PostgresServer::start();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (url, listen) = (postgres.url(), address.to_string());
    let start = async || Serving::start_package("guard_diesel", &[&listen, &url]).await;
    let mut server = start().await;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            for number in (client..KEYS).step_by(CLIENTS) {
                let key = format!("order-{number}");
                while timeout(Duration::from_secs(5), pay(address, &key)).await != Ok(Some(200)) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                // The next is under way when the server is killed.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    let mut dice = Dice::seeded();
    for _ in 0..KILLS {
        tokio::time::sleep(dice.micros(20_000..300_000)).await;
        server.kill().await;
        server = start().await;
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let payments = postgres.number("SELECT count(*) FROM payments").await;
    let keys = postgres
        .number("SELECT count(DISTINCT payment_key) FROM payments")
        .await;
    let wanted = i64::try_from(KEYS).unwrap();
    assert_eq!((payments, keys), (wanted, wanted));
}

/// Returns the status of the answer; none, if there is no server just now.
async fn pay(address: std::net::SocketAddr, key: &str) -> Option<u16> {
    tokio::net::TcpStream::connect(address).await.ok()?;
    let paying = tokio::spawn({
        let key = key.to_owned();
        async move {
            let mut client = Client::connect(address, Version::Http1).await;
            let request = Request::post("/pay").header("idempotency-key", key);
            client
                .send(request.body("".into()).unwrap())
                .await
                .status
                .as_u16()
        }
    });
    // A connection that breaks is a panic of the test client's.
    paying.await.ok()
}
