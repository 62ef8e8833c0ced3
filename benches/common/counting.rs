//! Not one of the modules of `common`: whoever counts has another allocator than those who time.

use tokio::runtime::{Builder, Runtime};

use crate::common::{rounds, variant::Variant};

/// Returns a runtime whose clock stands still. What is due at one time shares an allocation in the
/// store's queue, and how much that is must not depend on the machine's pace.
pub(crate) fn timeless() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// So many that each of the store's shards has a table.
const WARMING: u32 = 6000;
const REQUESTS: usize = 999;

/// Returns how often one request allocates: the median of many, since a map that grows now and then
/// is no part of any.
pub(crate) fn allocations(variant: &Variant, runtime: &Runtime) -> i32 {
    rounds::send(runtime, variant, WARMING);
    let count = |_| {
        let request = variant.request();
        let counted = allocation_counter::measure(|| runtime.block_on(variant.send(request)));
        i32::try_from(counted.count_total).expect("few")
    };
    let mut counts: Vec<_> = (0..REQUESTS).map(count).collect();
    counts.sort_unstable();
    counts[REQUESTS / 2]
}
