//! The guard of what a request costs: how often it allocates memory, over the router without the
//! layer. Times differ from machine to machine; these counts do not. They are those of a build
//! that is not optimised, which leaves none out.
//!
//! A test binary of its own, since it has an allocator of its own.

#[path = "../benches/common/mod.rs"]
mod common;
#[path = "../benches/common/counting.rs"]
mod counting;

use std::fmt::Write;

use common::variant::{charges, refusals};

const COMMITTED: &str = include_str!("allocations.txt");

#[test]
#[cfg_attr(
    any(feature = "metrics", feature = "tracing"),
    ignore = "the counts are those without observers: cargo test --test allocations"
)]
fn no_request_allocates_more_often_than_was_committed() {
    let runtime = counting::timeless();
    let variants: Vec<_> = charges().into_iter().chain(refusals(&runtime)).collect();
    let counts = variants
        .iter()
        .map(|variant| counting::allocations(variant, &runtime));
    let counts: Vec<_> = counts.collect();
    let mut found = String::new();
    for (variant, count) in variants.iter().zip(&counts) {
        writeln!(found, "{:<16} {:>3}", variant.name, count - counts[0]).unwrap();
    }
    assert_eq!(
        found, COMMITTED,
        "allocations over the bare router changed, and the margin is none. A rise needs a reason; \
         either way, tests/allocations.txt is to say what is true:\n{found}"
    );
}
