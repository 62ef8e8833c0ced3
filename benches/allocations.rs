//! How often a request allocates memory with the layer, beside the same router without it.
//!
//! ```sh
//! cargo bench --bench allocations
//! ```
//!
//! `tests/allocations.rs` sees to it that the counts do not rise.

mod common;
#[path = "common/counting.rs"]
mod counting;

use self::common::{
    figure::Figure,
    variant::{charges, refusals},
};

fn main() {
    let runtime = counting::timeless();
    let variants: Vec<_> = charges().into_iter().chain(refusals(&runtime)).collect();
    let counts = variants
        .iter()
        .map(|variant| counting::allocations(variant, &runtime));
    let counts: Vec<_> = counts.collect();

    println!("{:<16} {:>12}  over bare", "", "allocations");
    for (variant, count) in variants.iter().zip(&counts) {
        let over = f64::from(count - counts[0]);
        let over = match variant.name {
            "no key" => Figure::at_most(over, 4.0),
            "first request" => Figure::at_most(over, 12.0),
            "replay" => Figure::at_most(over, 2.0),
            _ => Figure::unbounded(over),
        };
        println!("{:<16} {count:>12}  {over:.0}", variant.name);
    }
}
