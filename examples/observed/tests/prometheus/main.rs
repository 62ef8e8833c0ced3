//! The dashboard and the alerts, on a real Prometheus that scrapes the example under load.
#![cfg(target_os = "linux")]

mod chart;
mod dashboard;
#[path = "../../../../tests/it/support/leash.rs"]
mod leash;
mod observed;
mod server;

use std::{
    collections::BTreeSet,
    fmt::Debug,
    fs,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use self::{dashboard::panels, observed::Observed, server::Prometheus};

const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts.yml");
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.svg");
const PAGE: &str = include_str!("../../../../docs/observability.md");

#[test]
fn prometheus_takes_the_alert_rules() {
    let checked = Command::new("promtool")
        .args(["check", "rules", ALERTS])
        .output()
        .expect("promtool is installed (the package `prometheus`)");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn every_query_of_the_dashboard_and_every_alert_has_data_under_load() {
    let observed = Observed::in_trouble(4);
    let prometheus = Prometheus::scraping(observed.address, Duration::from_millis(250));
    let rules = prometheus.rules();
    let mut queries: Vec<_> = rules.iter().map(|rule| rule.query.clone()).collect();
    for panel in panels("1m") {
        queries.extend(panel.queries.into_iter().map(|query| query.expression));
    }
    within_a_minute(|| {
        queries.retain(|query| prometheus.query(query).is_empty());
        queries.clone()
    });
    // Prometheus itself comes to the same result, at its next evaluation.
    within_a_minute(|| {
        let mut rules = prometheus.rules();
        rules.retain(|rule| rule.state == "inactive");
        rules
    });
}

/// Asks again and again until nothing is missing.
fn within_a_minute<T: Debug>(mut missing: impl FnMut() -> Vec<T>) {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let missing = missing();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "without data: {missing:#?}");
        sleep(Duration::from_millis(500));
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_on_the_page() {
    let observed = Observed::quiet();
    let prometheus = Prometheus::scraping(observed.address, Duration::from_secs(1));
    let rules = prometheus.rules();
    for rule in &rules {
        assert!(rule.what_to_do.len() > 20, "{}", rule.name);
    }
    let rows = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `Idempotency"));
    let listed: BTreeSet<_> = rows
        .filter_map(|row| row.split('`').next())
        .map(|name| format!("Idempotency{name}"))
        .collect();
    let names: BTreeSet<_> = rules.into_iter().map(|rule| rule.name).collect();
    assert_eq!(listed, names);
}

#[test]
fn counters_of_what_is_rare_are_there_at_zero_before_anything_happens() {
    let observed = Observed::quiet();
    let text = server::get(observed.address, "/metrics");
    for series in [
        "idempotency_leases_lost_total 0",
        r#"idempotency_requests_total{outcome="store-unavailable"} 0"#,
    ] {
        assert!(text.contains(series), "no {series} in {text}");
    }
}

#[test]
#[ignore = "long: two minutes of load, for docs/observability.svg"]
fn the_picture_of_the_page_is_drawn_from_prometheus() {
    let observed = Observed::in_trouble(40);
    let prometheus = Prometheus::scraping(observed.address, Duration::from_secs(1));
    let shown = Duration::from_secs(100);
    sleep(shown + Duration::from_secs(10));
    let panels: Vec<_> = panels("5s")
        .into_iter()
        .map(|panel| prometheus.range(panel, shown))
        .collect();
    fs::write(PICTURE, chart::draw(&panels)).unwrap();
}
