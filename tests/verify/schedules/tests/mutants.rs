//! Faults that must be found, and that the order in which one is found shows it again.

use schedules::{Broken, Stores, explore, history, race, woken};

const ORDERS: usize = 2000;

#[test]
fn a_racy_claim_is_found() {
    let found = explore(|| race(Stores::Broken(Broken::RacyClaim)), ORDERS, 1);
    assert!(found.unwrap_err().contains("of three claims"));
    let found = explore(|| history(Stores::Broken(Broken::RacyClaim)), ORDERS, 1);
    assert!(found.unwrap_err().contains("nothing explains"));
}

#[test]
fn a_lost_wake_up_is_found() {
    let found = explore(|| woken(Stores::Broken(Broken::LostWakeUp)), ORDERS, 1);
    assert!(found.unwrap_err().contains("deadlock"));
}

#[test]
fn another_generations_wake_up_is_found() {
    let found = explore(
        || woken(Stores::Broken(Broken::AnotherGeneration)),
        ORDERS,
        1,
    );
    assert!(found.unwrap_err().contains("deadlock"));
}

#[test]
fn the_memory_store_is_not() {
    for seed in 0..3 {
        explore(|| race(Stores::Memory), ORDERS / 10, seed).unwrap();
        explore(|| history(Stores::Memory), ORDERS / 10, seed).unwrap();
        explore(|| woken(Stores::Memory), ORDERS / 10, seed).unwrap();
    }
}
