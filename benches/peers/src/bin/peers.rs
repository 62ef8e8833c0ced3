//! Times of the libraries beside the same bare router, all in turn. With `--chart FILE` the figures
//! are drawn, and with `--table FILE` written as Markdown, too.

#[path = "../chart.rs"]
mod chart;
#[path = "../../../common/mod.rs"]
mod common;
#[path = "../peers.rs"]
mod peers;

use std::{env, fmt::Write, fs};

use self::{
    common::rounds::{interleaved, send, single_threaded},
    peers::{KINDS, bare, peers},
};

const ROUNDS: usize = 300;
const REQUESTS: u32 = 200;

fn main() {
    let runtime = single_threaded();
    let peers = peers(&runtime);
    let variants = peers.iter().flat_map(|peer| peer.variants.clone());
    let variants: Vec<_> = [bare()].into_iter().chain(variants).collect();
    let times = interleaved(ROUNDS, &variants, |it| send(&runtime, it, REQUESTS));
    let ratios: Vec<_> = times[1..].iter().map(|time| time.over(&times[0])).collect();

    println!("bare router: {:.0} ns", times[0].median() * 1e9);
    print!("{:<20}", "x bare");
    KINDS.iter().for_each(|kind| print!(" {kind:>14}"));
    println!();
    let mut rows = Vec::new();
    for (peer, ratios) in peers.iter().zip(ratios.chunks(KINDS.len())) {
        print!("{:<20}", peer.name);
        ratios.iter().for_each(|ratio| print!(" {ratio:>14.2}"));
        println!();
        rows.push((peer.name, ratios.to_vec()));
    }
    if let Some(file) = value_of("--chart") {
        fs::write(file, chart::draw(&KINDS, &rows)).expect("the chart is written");
    }
    if let Some(file) = value_of("--table") {
        fs::write(file, table(&rows)).expect("the table is written");
    }
}

fn value_of(flag: &str) -> Option<String> {
    env::args().skip_while(|arg| arg != flag).nth(1)
}

fn table(rows: &[(&str, Vec<f64>)]) -> String {
    let mut table = format!(
        "| time, × bare router | {} |\n|---|--:|--:|--:|\n",
        KINDS.join(" | ")
    );
    for (name, ratios) in rows {
        let cells: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string takes all");
    }
    table
}
