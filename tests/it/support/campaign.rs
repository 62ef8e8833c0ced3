//! Many servers on one store, impatient clients, somebody who kills, and an oracle over what was
//! seen.
//!
//! The servers are the `conformance` example. A key's requests go to several of them at once, hang
//! up, and are sent again until they are answered, while servers are killed or stopped for longer
//! than their lease, and the store is troubled. What the handlers' ledgers and the clients tell is
//! [`Evidence`], which [`judge`](Evidence::judge) holds against what the crate promises.

mod client;
mod crowd;
mod evidence;
mod fleet;
mod killer;
mod oracle;
mod plan;
mod process;
mod run;
mod sighting;
mod stalls;
mod toll;
mod trouble;
mod verdict;
mod violation;

use std::time::{SystemTime, UNIX_EPOCH};

#[allow(unused_imports, reason = "each use is a store's own")]
pub(crate) use self::{
    evidence::Evidence,
    plan::Campaign,
    process::Process,
    run::Run,
    sighting::{Shown, Sighting},
    trouble::{Calm, Trouble, Troubles},
    violation::Violation,
};

/// Milliseconds of Unix time, which the ledgers are in too.
fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since_1970.expect("a clock after 1970").as_millis();
    u64::try_from(millis).expect("a clock of this age")
}
