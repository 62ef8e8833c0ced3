//! Whether a request costs more where many keys are held.

use tower_idempotency::IdempotencyLayer;

use crate::{
    common::{
        figure::Figure,
        rounds::{interleaved, send, single_threaded},
        router,
        variant::{Key, Variant},
    },
    keys::filled,
};

const ROUNDS: usize = 100;
const REQUESTS: u32 = 200;
const FEW: u64 = 1000;
/// Which of them are replayed.
const REPLAYED: u64 = 1000;

pub(crate) fn print() {
    let is_full = std::env::args().any(|arg| arg == "--full");
    let many = if is_full { 5_000_000 } else { 1_000_000 };
    println!(
        "{:<16} {:>10} {:>10} {:>8}",
        "ns a request", FEW, many, "ratio"
    );
    let layers = [FEW, many].map(|keys| IdempotencyLayer::new(filled(keys)));
    let runtime = single_threaded();
    for (name, key) in [
        ("replay", Key::OneOf(REPLAYED)),
        ("first request", Key::Fresh),
    ] {
        let variants = layers
            .clone()
            .map(|layer| Variant::charge(name, router::charging().layer(layer), key));
        if name == "replay" {
            let all = u32::try_from(REPLAYED).expect("few");
            for variant in &variants {
                send(&runtime, variant, all);
            }
        }
        let times = interleaved(ROUNDS, &variants, |it| send(&runtime, it, REQUESTS));
        println!(
            "{name:<16} {:>10.0} {:>10.0} {}",
            times[0].median() * 1e9,
            times[1].median() * 1e9,
            Figure::at_most(times[1].over(&times[0]), 1.5),
        );
    }
}
