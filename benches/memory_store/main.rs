//! What the store in memory costs: time for each operation, and how long a claim takes while a
//! million keys expire.
//!
//! ```sh
//! cargo bench --bench memory_store               # up to a million keys
//! cargo bench --bench memory_store -- --full     # five million, which takes 3 GiB
//! ```

mod expiry;
mod keys;
mod operations;

fn main() {
    let is_full = std::env::args().any(|arg| arg == "--full");
    operations::print(is_full);
    println!();
    expiry::print();
}
