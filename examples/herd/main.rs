//! Shows what a thousand clients do to a server that comes back, under each strategy.
//!
//! ```sh
//! cargo run --release --features client --example herd -- [--out docs/herd.svg]
//! ```
//!
//! Prints a table and draws a chart. The clients are this crate's retry layer on paused
//! time, seeded: the same program writes the same bytes.

mod chart;
mod simulation;

use std::{error::Error, fs, path::PathBuf};

use simulation::{CLIENTS, END, Herd, STRATEGIES};

const SEEDS: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let path = out()?;
    let herds: Vec<_> = STRATEGIES
        .iter()
        .map(|strategy| Herd::average(strategy, SEEDS))
        .collect();
    println!("| strategy | requests | in the first 100 ms | 99 % served after |");
    println!("|---|---:|---:|---:|");
    for herd in &herds {
        println!(
            "| {} | {:.0} | {:.0} | {} |",
            herd.strategy.name,
            herd.requests,
            herd.requests_at_once,
            served_after(herd),
        );
    }
    fs::write(&path, chart::draw(&herds))?;
    println!();
    println!("drawn in {}", path.display());
    Ok(())
}

/// Where the chart goes.
fn out() -> Result<PathBuf, lexopt::Error> {
    let mut out = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/herd.svg").into();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            lexopt::Arg::Long("out") => out = parser.value()?.into(),
            other => return Err(other.unexpected()),
        }
    }
    Ok(out)
}

fn served_after(herd: &Herd) -> String {
    match herd.time_until(f64::from(CLIENTS) * 0.99) {
        Some(time) => format!("{} s", time.as_secs_f64().round()),
        None => format!("> {} s", END.as_secs()),
    }
}
