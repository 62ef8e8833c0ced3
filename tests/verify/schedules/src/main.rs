//! Plays the scenarios for some seconds, or one of them in an order that went wrong.

use std::time::{Duration, Instant};

use lexopt::prelude::*;
use schedules::{SCENARIOS, explore, replay};

fn main() -> Result<(), lexopt::Error> {
    let (mut seconds, mut seed, mut only, mut order) = (60, fastrand::u64(..), None, None);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            Long("seed") => seed = args.value()?.parse()?,
            Long("scenario") => only = Some(args.value()?.string()?),
            Long("order") => order = Some(args.value()?.string()?),
            _ => return Err(arg.unexpected()),
        }
    }
    let scenarios: Vec<_> = SCENARIOS
        .into_iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name))
        .collect();
    if let (Some(order), [(name, scenario)]) = (&order, &scenarios[..]) {
        match replay(*scenario, order) {
            Ok(()) => println!("schedules: {name} went well"),
            Err(error) => println!("schedules: {name}: {error}"),
        }
        return Ok(());
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut played = 0;
    while Instant::now() < end {
        for (name, scenario) in &scenarios {
            const ORDERS: usize = 200;
            if let Err(error) = explore(*scenario, ORDERS, seed) {
                println!("schedules: {name}: {error}");
                println!(
                    "  again: --scenario {name} --seed {seed}, or --order with what stands above"
                );
                std::process::exit(1);
            }
            played += ORDERS;
            seed = seed.wrapping_add(1);
        }
    }
    println!(
        "schedules: {played} orders of {} scenarios, nothing found",
        scenarios.len()
    );
    Ok(())
}
