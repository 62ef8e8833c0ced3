//! How long a request takes with the layer, beside the same router without it.
//!
//! ```sh
//! cargo bench --bench layer                  # all sections
//! cargo bench --bench layer -- kinds bodies  # some
//! cargo bench --bench layer -- --full        # with five million keys held instead of one
//! ```
//!
//! Only ratios can be compared between machines: see `common/rounds.rs`.

mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod connections;
mod cores;
mod hot_key;
#[path = "../memory_store/keys.rs"]
mod keys;
mod keys_held;
mod kinds;
mod streams;
mod waiting;

const SECTIONS: [(&str, fn()); 8] = [
    ("kinds", kinds::print),
    ("bodies", bodies::print),
    ("streams", streams::print),
    ("waiting", waiting::print),
    ("connections", connections::print),
    ("cores", cores::print),
    ("hot-key", hot_key::print),
    ("keys-held", keys_held::print),
];

fn main() {
    warm_heap();
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    for wanted in &wanted {
        let is_known = SECTIONS.iter().any(|(name, _)| name == wanted);
        assert!(is_known, "no section is called {wanted}");
    }
    for (name, print) in SECTIONS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            print();
            println!();
        }
    }
}

/// Has the allocator keep memory that the system has already given, as it does in a server that has
/// run for a while: otherwise every record pays for fresh pages.
fn warm_heap() {
    // glibc returns the first chunk, raises its threshold by that, and keeps the second.
    for _ in 0..2 {
        std::hint::black_box(vec![1_u8; 31 * 1024 * 1024]);
    }
}
