//! Not one of the modules of `common`: whoever counts has another allocator than those who time.

use tokio::runtime::Runtime;

use crate::common::{rounds, variant::Variant};

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
