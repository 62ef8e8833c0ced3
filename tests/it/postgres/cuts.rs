//! Lines that are cut before and after every message.

use std::time::Duration;

use crate::support::postgres::{Driver, PostgresServer, Proxy, Shop};

/// A payment of which one message after the other is the last that gets through, or does not: the
/// client, whatever it is told, asks again until it is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_made_once_wherever_the_line_is_cut() {
    let server = PostgresServer::start();
    for driver in Driver::ALL {
        let shop = Shop::open(&server, driver).await;
        let proxy = Proxy::before(server.port).await;
        let mut stores = shop.stores.clone();
        stores.url = format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            proxy.port
        );
        stores.connections = 1;
        let cut_off = shop.with_stores(stores, |layer| layer).await;
        // Connected, and with all statements prepared.
        assert_eq!(cut_off.ask("first", "pay").await.status, 201);
        let (mut refused, mut replayed) = (0, 0);
        let mut last = 0;
        for number in 0..400 {
            let key = format!("k{number}");
            proxy.cut_at(number);
            let answer = tokio::time::timeout(Duration::from_secs(30), cut_off.ask(&key, "pay"));
            let mut answer = answer.await.expect("an answer in time");
            let was_cut = proxy.has_cut();
            if answer.status != 201 {
                refused += 1;
                assert_eq!(answer.status, 503, "{answer:?}");
            }
            while answer.status != 201 {
                answer = cut_off.ask(&key, "pay").await;
                replayed += u32::from(answer.is_replay());
            }
            assert_eq!(shop.effects(&server, &key).await, 1, "cut at {number}");
            if !was_cut {
                last = number;
                break;
            }
        }
        println!("{driver:?}: {last} cuts, {refused} refused, {replayed} of them had committed");
        assert!(last > 20, "it was cut only {last} times");
        assert!(refused > 0 && replayed > 0, "{refused}, {replayed}");
    }
}
