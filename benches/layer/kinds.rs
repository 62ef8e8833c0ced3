//! Each kind of request: a charge of 256 bytes, answered with 300.

use crate::common::{
    figure::Figure,
    rounds::{interleaved, send, single_threaded},
    variant::{charges, refusals},
};

const ROUNDS: usize = 300;
const REQUESTS: u32 = 200;

pub(crate) fn print() {
    let runtime = single_threaded();
    let variants: Vec<_> = charges().into_iter().chain(refusals(&runtime)).collect();
    let times = interleaved(ROUNDS, &variants, |variant| {
        send(&runtime, variant, REQUESTS)
    });

    println!("{:<16} {:>7} {:>8}", "", "ns", "x bare");
    for (variant, time) in variants.iter().zip(&times) {
        let ratio = time.over(&times[0]);
        let ratio = match variant.name {
            "no key" => Figure::at_most(ratio, 1.15),
            "first request" => Figure::at_most(ratio, 2.0),
            "replay" => Figure::at_most(ratio, 1.05),
            _ => Figure::unbounded(ratio),
        };
        let nanos = time.median() * 1e9;
        println!("{:<16} {nanos:>7.0} {ratio}", variant.name);
    }
}
