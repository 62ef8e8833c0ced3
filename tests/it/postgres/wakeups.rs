use std::time::Duration;

use tokio::time::timeout;
use tower_idempotency::Store;

use crate::support::{
    claims::{acquire, assert_acquired, complete, fresh},
    postgres::{Driver, PostgresServer, Stores},
};

/// Sooner than the next look at a key whose changes are pushed: that comes after half a second at
/// least.
const PUSHED: Duration = Duration::from_millis(400);

/// How often it may be late on a machine that has no time.
const TRIES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_claim_is_pushed_to_who_waits_in_another_process() {
    let server = PostgresServer::shared();
    for driver in Driver::ALL {
        for transactional in [false, true] {
            let mut stores = Stores::new(server, driver);
            stores.transactional = transactional;
            stores.migrate().await;
            let (owner, waiter) = (stores.open().await, stores.open().await);
            let mut pushed = false;
            for _ in 0..TRIES {
                let claim = fresh();
                // A transaction is there as long as this.
                let held = acquire(&owner, &claim).await;
                let mut changed = tokio::spawn(waiter.changed(claim.name()));
                // It looks, and sees that somebody works under the key.
                let woken = timeout(Duration::from_millis(300), &mut changed).await;
                assert!(woken.is_err(), "woken for nothing");
                complete(&owner, &claim, b"r").await.unwrap();
                assert_acquired(held, 1);
                if timeout(PUSHED, changed).await.is_ok() {
                    pushed = true;
                    break;
                }
            }
            assert!(pushed, "{driver:?}, transactional: {transactional}");
        }
    }
}
