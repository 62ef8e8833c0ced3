use std::{
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use super::{failure::Failure, queue::Queue};

/// How often SQLite tries again by itself while another process has a lock.
const TRIES: u16 = 20;

/// Begins a transaction that writes, once no other process has one.
pub(super) fn begin(
    connection: &Connection,
    queue: &mut Queue,
    until: Instant,
) -> Result<(), Failure> {
    // Until it has begun, and no longer: the next in the queue asks while this one writes.
    let _turn = queue.turn(until);
    loop {
        let begun = connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(Failure::from);
        match begun {
            // It has waited for a while in there.
            Err(failure) if failure.is_busy() && Instant::now() < until => {}
            begun => return begun,
        }
    }
}

/// Waits on the thread of the connection, which is never one of a runtime.
pub(super) fn wait_while_busy(tries: i32) -> bool {
    let tries = u16::try_from(tries).unwrap_or(u16::MAX);
    // Of those in the queue only one asks, so that it may ask often.
    thread::sleep(Duration::from_micros(200) * u32::from(tries.min(4) + 1));
    tries < TRIES
}
