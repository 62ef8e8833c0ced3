//! How often each library allocates, over the same bare router.

#[path = "../../../common/mod.rs"]
mod common;
#[path = "../../../common/counting.rs"]
mod counting;
#[path = "../peers.rs"]
mod peers;

use self::peers::{KINDS, bare, peers};

fn main() {
    let runtime = counting::timeless();
    let none = counting::allocations(&bare(), &runtime);
    print!("{:<20}", format!("over bare ({none})"));
    KINDS.iter().for_each(|kind| print!(" {kind:>14}"));
    println!();
    for peer in peers(&runtime) {
        print!("{:<20}", peer.name);
        for variant in &peer.variants {
            let over = counting::allocations(variant, &runtime) - none;
            print!(" {over:>14}");
        }
        println!();
    }
}
