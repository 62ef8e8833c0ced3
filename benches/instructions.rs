//! How many instructions a request takes with the layer, beside the same router without it: the
//! figure that no other program on the machine disturbs. Needs `valgrind`.
//!
//! ```sh
//! cargo bench --bench instructions
//! ```
//!
//! valgrind's processor has no SHA extensions, so SHA-256 is counted as software does it, which takes
//! some ten times as long as most processors of today: it has a column of its own.

mod common;

use std::{env, fs, hint::black_box, process::Command};

use self::common::{
    rounds::single_threaded,
    variant::{charges, refusals},
};

const REQUESTS: u32 = 500;

fn main() {
    let args: Vec<_> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--run") {
        let requests = args[at + 2].parse().expect("--run takes a number");
        return run(&args[at + 1], requests, &args[at + 3]);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("not counted: valgrind is missing; install the package of that name");
        return;
    }
    let runtime = single_threaded();
    let variants: Vec<_> = charges().into_iter().chain(refusals(&runtime)).collect();
    let counts: Vec<_> = variants.iter().map(|it| instructions(it.name)).collect();

    println!(
        "{:<16} {:>12} {:>10} {:>10} {:>8}",
        "instructions", "a request", "over bare", "SHA-256", "the rest"
    );
    for (variant, Count { all, sha }) in variants.iter().zip(&counts) {
        let over = all - counts[0].all;
        let rest = over - sha;
        println!(
            "{:<16} {all:>12} {over:>10} {sha:>10} {rest:>8}",
            variant.name
        );
    }
}

/// What one request takes.
struct Count {
    all: i64,
    sha: i64,
}

/// Counts twice as many requests and takes off as many, so that all that is done once is left out.
fn instructions(variant: &str) -> Count {
    let (few, many) = (
        profile("send", REQUESTS, variant),
        profile("send", 2 * REQUESTS, variant),
    );
    let (making_few, making_many) = (
        profile("make", REQUESTS, variant),
        profile("make", 2 * REQUESTS, variant),
    );
    let each = |all: i64| all / i64::from(REQUESTS);
    Count {
        all: each(many.all - few.all - (making_many.all - making_few.all)),
        sha: each(many.sha - few.sha),
    }
}

/// Runs this program under callgrind.
fn profile(what: &str, requests: u32, variant: &str) -> Count {
    let name = format!("callgrind.{}.out", std::process::id());
    let file = env::temp_dir().join(name);
    let run = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe().expect("a path"))
        .args(["--run", what, &requests.to_string(), variant])
        .output()
        .expect("valgrind is installed");
    assert!(run.status.success(), "callgrind: {run:?}");
    let annotated = Command::new("callgrind_annotate")
        .args(["--threshold=100", "--auto=no"])
        .arg(&file)
        .output()
        .expect("it comes with valgrind");
    let _ = fs::remove_file(&file);
    let annotated = String::from_utf8_lossy(&annotated.stdout);
    // Lines such as `23,524,000 (35.08%)  ???:sha2::sha256::soft::unroll::compress`.
    let counts = annotated.lines().filter_map(|line| {
        let (count, what) = line.trim().split_once(" (")?;
        Some((count.replace(',', "").parse::<i64>().ok()?, what))
    });
    let counts: Vec<_> = counts.collect();
    let sum_of = |is_in: &dyn Fn(&str) -> bool| {
        let those = counts.iter().filter(|(_, what)| is_in(what));
        those.map(|(count, _)| count).sum()
    };
    let count = Count {
        all: sum_of(&|what| what.ends_with("PROGRAM TOTALS")),
        sha: sum_of(&|what| what.contains("sha2::")),
    };
    assert!(count.all > 0, "callgrind counted nothing: {annotated}");
    count
}

/// What runs under callgrind: requests are made, and sent or not.
fn run(what: &str, requests: u32, name: &str) {
    let runtime = single_threaded();
    let mut variants = charges().into_iter().chain(refusals(&runtime));
    let variant = variants.find(|variant| variant.name == name);
    let variant = variant.unwrap_or_else(|| panic!("no variant is called {name}"));
    for _ in 0..requests {
        let request = variant.request();
        match what {
            "send" => runtime.block_on(variant.send(request)),
            _ => drop(black_box(request)),
        }
    }
}
