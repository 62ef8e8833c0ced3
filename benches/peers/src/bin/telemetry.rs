//! What the features `metrics` and `tracing` cost a replay: the crate's source with them and without, in turn.

#[path = "../../../common/mod.rs"]
mod common;

use metrics::NoopRecorder;
use tracing::{
    Event, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::NoSubscriber,
};

use self::common::{
    Variant,
    figure::Figure,
    replaying, router,
    rounds::{Times, interleaved, send, single_threaded},
    variant::{Key, layer},
};

const ROUNDS: usize = 600;
const REQUESTS: u32 = 200;

/// Wants everything, and keeps nothing.
struct Forgetful;

impl Subscriber for Forgetful {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn main() {
    metrics::set_global_recorder(NoopRecorder).expect("the first recorder");
    let telling = telling::IdempotencyLayer::new(telling::MemoryStore::new());
    let variants = [
        replaying("without the features", layer()),
        Variant::charge("with both", router::charging().layer(telling), Key::Same),
    ];
    let measure = || {
        let runtime = single_threaded();
        interleaved(ROUNDS, &variants, |it| send(&runtime, it, REQUESTS))
    };
    let unheard = tracing::subscriber::with_default(NoSubscriber::default(), measure);
    let heard = tracing::subscriber::with_default(Forgetful, measure);

    println!("{:<40} {:>6} {:>8}", "replay", "ns", "x without");
    row("without the features", &unheard[0], Figure::unbounded(1.0));
    let ratio = |times: &[Times]| times[1].over(&times[0]);
    let bounded = Figure::at_most(ratio(&unheard), 1.08);
    row("with both, nobody listens", &unheard[1], bounded);
    let free = Figure::unbounded(ratio(&heard));
    row("with both, a subscriber wants everything", &heard[1], free);
}

fn row(name: &str, times: &Times, ratio: Figure) {
    println!("{name:<40} {:>6.0} {ratio}", times.median() * 1e9);
}
