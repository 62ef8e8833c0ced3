//! Walks through the protocol's states, the smaller settings first, until all are seen or the
//! time is up.

use std::time::{Duration, Instant};

use lexopt::prelude::*;
use model::Setting;
use stateright::{Checker, Model};

fn main() -> Result<(), lexopt::Error> {
    let mut seconds = 60;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => seconds = args.value()?.parse()?,
            _ => return Err(arg.unexpected()),
        }
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut states, mut whole, mut cut) = (0, 0, 0);
    for setting in Setting::all() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let checker = setting.checker().threads(2).timeout(left).spawn_bfs();
        let checker = checker.join();
        states += checker.unique_state_count();
        if let Some(path) = checker.discovery(Setting::KEPT) {
            println!("model: {:?} in {setting:?}", path.last_state().found);
            println!("{path}");
            std::process::exit(1);
        }
        // A search that was cut short may have seen no replay yet.
        if checker.is_done() && Instant::now() < end {
            whole += 1;
            if checker.discovery(Setting::REPLAYED).is_none() {
                println!("model: no answer is ever replayed in {setting:?}");
                std::process::exit(1);
            }
        } else {
            cut += 1;
        }
    }
    println!(
        "model: {whole} of {} settings whole, {cut} in part, {states} states, nothing found",
        Setting::all().count()
    );
    Ok(())
}
