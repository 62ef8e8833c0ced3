use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::Result;

/// Runs tests until the first fails, and returns whether none did in time.
pub(crate) fn passes(mut tests: Command, tree: &Path, time: Duration) -> Result<bool> {
    let mut child = tests
        .args(["--test-threads", "4"])
        .current_dir(tree)
        // What cargo would say.
        .env("CARGO_MANIFEST_DIR", tree)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let told = BufReader::new(child.stdout.take().expect("it is piped"));
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in told.lines().map_while(std::result::Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + time;
    let mut passed = false;
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if line.starts_with("test ") && line.ends_with("FAILED") {
            break;
        }
        if line.starts_with("test result: ok") {
            passed = true;
            break;
        }
    }
    if passed {
        // It may have servers to stop.
        return Ok(child.wait()?.success());
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}
