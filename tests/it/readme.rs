//! The README's shell blocks, run as they stand.

use std::{fs, process::Command};

use crate::support::examples::Serving;

/// Returns the blocks of the README that a shell is meant to run.
fn shell_blocks() -> Vec<String> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let after_fences = readme.split("```sh\n").skip(1);
    after_fences
        .map(|after| after.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs a line of the README against a server that had to take another port.
fn run(line: &str, server: &Serving) -> String {
    let line = line.replace("127.0.0.1:5000", &server.address.to_string());
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_sees_what_the_readme_says() {
    let [start, twice] = <[String; 2]>::try_from(shell_blocks()).expect("two blocks to try it");
    assert_eq!(start.trim(), "cargo run --example payments");
    let server = Serving::start("payments", &["127.0.0.1:0"]).await;

    let answers: Vec<_> = twice.lines().map(|line| run(line, &server)).collect();
    let [first, second] = &answers[..] else {
        panic!("the README sends {} requests", answers.len());
    };
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(body(first).contains("payment_id"), "{first}");
    assert_eq!(body(first), body(second));
    assert!(!first.contains("idempotency-replayed"), "{first}");
    assert!(second.contains("idempotency-replayed: true"), "{second}");
}

#[test]
fn the_changelog_names_the_current_version() {
    let changelog = include_str!("../../CHANGELOG.md");
    assert!(changelog.contains(env!("CARGO_PKG_VERSION")));
}
