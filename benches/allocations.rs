//! How often a request allocates memory with the layer, beside the same router without it.
//!
//! cargo bench --bench allocations

mod common;

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::runtime::{Builder, Runtime};

use self::common::{Variant, variants};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 1000;

fn main() {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let variants = variants();
    let bare = allocations(&variants[0], &runtime);

    println!("{:<16} {:>12} {:>12}", "", "allocations", "over bare");
    for variant in &variants {
        let own = allocations(variant, &runtime);
        println!("{:<16} {own:>12} {:>12}", variant.name, own - bare);
    }
}

/// Returns the mean of many requests: a map that grows now and then counts for its share.
fn allocations(variant: &Variant, runtime: &Runtime) -> isize {
    let requests: Vec<_> = (0..REQUESTS).map(|_| variant.request()).collect();
    let region = Region::new(ALLOCATOR);
    runtime.block_on(async {
        for request in requests {
            variant.send(request).await;
        }
    });
    isize::try_from(region.change().allocations / REQUESTS).expect("fewer than can be counted")
}
