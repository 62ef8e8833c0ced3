//! The crate's own source in many orders of its steps, which shuttle draws.
//!
//! The source is built unchanged against stand-ins for `std`, `tokio`, `dashmap` and `rand`
//! (`subject`), so that every lock, every atomic and every wake-up in it is a point where another
//! task may go first.

mod handler;
mod layered;
#[path = "../../histories/src/perform.rs"]
mod perform;
mod slow;
mod stored;

use std::{panic, time::Instant};

use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
};

pub use self::{
    layered::{hang_up, renewal, waiting_in_line},
    stored::{Broken, Stores, history, race, woken},
};

/// A small world of a few tasks.
pub type Scenario = fn();

/// All of them, by name.
pub const SCENARIOS: [(&str, Scenario); 6] = [
    ("race", || race(Stores::Memory)),
    ("history", || history(Stores::Memory)),
    ("woken", || woken(Stores::Memory)),
    ("waiting-in-line", waiting_in_line),
    ("hang-up", hang_up),
    ("renewal", renewal),
];

/// Plays a scenario in many orders.
///
/// # Errors
///
/// What went wrong, and the order in which it did: [`replay`] plays that again.
pub fn explore(scenario: Scenario, orders: usize, seed: u64) -> Result<(), String> {
    // Most faults show when few tasks are held up at the wrong moment (PCT); some when many are.
    run(
        scenario,
        RandomScheduler::new_from_seed(seed, orders - orders / 2),
    )?;
    run(
        scenario,
        PctScheduler::new_from_seed(seed, 3, (orders / 2).max(1)),
    )
}

/// Plays a scenario in the order in which it went wrong.
///
/// # Errors
///
/// What went wrong.
pub fn replay(scenario: Scenario, order: &str) -> Result<(), String> {
    run(scenario, ReplayScheduler::new_from_encoded(order))
}

fn run(scenario: Scenario, scheduler: impl Scheduler + 'static) -> Result<(), String> {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::Print;
    config.stack_size = 0x20000;
    let runner = Runner::new(scheduler, config);
    let began = Instant::now();
    let world = move || {
        tokio::time::start();
        rand::seed(7);
        scenario();
    };
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| runner.run(world)));
    outcome.map(drop).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
        format!("{} (after {:?})", text.unwrap_or_default(), began.elapsed())
    })
}
