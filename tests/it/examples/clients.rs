//! The clients against the payments server, and the drawing of the herd.

use std::{env, fs, process};

use crate::support::examples::{Serving, run};

#[tokio::test]
async fn the_clients_are_answered_by_the_payments_server() {
    let server = Serving::start("payments", &["127.0.0.1:0"]).await;
    let url = format!("http://{}/process-payment", server.address);
    for client in ["client", "hyper_client"] {
        let output = run(client, &[&url]).await;
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{client}: {printed}");
        assert!(printed.contains("attempt 1 succeeded: 200 OK"), "{printed}");
        assert!(printed.contains("payment_id"), "{client}: {printed}");
    }
}

#[tokio::test]
async fn a_client_that_finds_no_server_says_so_and_fails() {
    for client in ["client", "hyper_client"] {
        let flags = ["--retries", "3", "--strategy", "jitter", "--delay", "1ms"];
        // Nobody listens on port 1.
        let output = run(client, &[&["http://127.0.0.1:1/"], &flags[..]].concat()).await;
        assert_eq!(output.status.code(), Some(1), "{client}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed.matches("failed:").count(), 3, "{printed}");
        assert!(printed.contains("all failed, giving up"), "{printed}");
    }
}

#[tokio::test]
async fn a_bad_flag_of_a_client_is_one_line_and_exit_code_2() {
    for client in ["client", "hyper_client"] {
        for flags in [
            ["--retries", "x"],
            ["--retries", "0"],
            ["--strategy", "x"],
            ["--delay", "x"],
        ] {
            let output = run(client, &flags).await;
            assert_eq!(output.status.code(), Some(2), "{client} {flags:?}");
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(error.trim_end().lines().count(), 1, "{error}");
            assert!(!error.contains("max_attempts"), "no flag of these: {error}");
        }
    }
}

#[tokio::test]
async fn the_chart_of_the_herd_is_what_its_command_draws() {
    let committed = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/herd.svg"));
    let chart = env::temp_dir().join(format!("herd-{}.svg", process::id()));
    let output = run("herd", &["--out", chart.to_str().unwrap()]).await;
    assert!(output.status.success(), "{output:?}");
    let drawn = fs::read_to_string(&chart).unwrap();
    fs::remove_file(&chart).unwrap();
    let is_same = committed.unwrap() == drawn;
    assert!(
        is_same,
        "docs/herd.svg is not what `--example herd` draws: draw and commit it"
    );
}
