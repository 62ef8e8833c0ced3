//! What can be seen from outside: metrics and spans, against the tables of `docs/observability.md`.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use axum::body::Body;
use http::Request;
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_idempotency::{IdempotencyLayer, MemoryStore, RequestBody, StoreFailure};

use crate::support::{
    faulty_store::{DOWN, Fault, FaultyStore, Op},
    log::Log,
    meter::Meter,
    scene::{Scene, asked, obedient, take_over},
    wire::{Gate, REFUSALS, TestLayer, Wire, defaults, keyed, response},
};

const PAGE: &str = include_str!("../../docs/observability.md");

/// Returns what stands first, in code, in the rows of the table under a heading of its columns.
fn first_column(header: &str) -> BTreeSet<String> {
    let table = PAGE.split_once(header).expect("the page has the table").1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1).map(str::to_owned))
        .collect()
}

fn requests(outcome: &str) -> String {
    format!("idempotency_requests_total{{outcome={outcome:?}}}")
}

fn plain(setup: &dyn Fn(TestLayer) -> TestLayer) -> Scene<'_> {
    Scene {
        setup,
        dress: |request| request,
        router: false,
    }
}

/// What the page lists among the events of the layer, and others tell.
const OF_OTHERS: [&str; 4] = [
    "a handler's transaction was rolled back",
    "the connection to the Redis server was lost",
    "the Redis server may lose what it acknowledged",
    "an attempt failed and is made again",
];

/// Has everything happen that is measured.
async fn everything() {
    let gate = Gate::default();
    for (code, ..) in REFUSALS {
        plain(&defaults).refused(code).await;
    }
    let small = |layer: TestLayer| {
        let waiting = layer.wait(Duration::from_secs(60)).max_response_bytes(3);
        waiting.store_failure(StoreFailure::FailOpen)
    };
    let wire = Wire::plain(small, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    let waiting = wire.spawn(asked(keyed("key"), "hold"));
    advance(Duration::from_secs(5)).await;
    gate.open();
    running.await.unwrap();
    assert!(waiting.await.unwrap().is_replay());
    for what in ["503", "500", "panic"] {
        let _ = wire.spawn(asked(keyed(what), what)).await;
    }
    wire.store.always(Op::Claim, DOWN);
    wire.send(keyed("degraded")).await;
    wire.store.heal();
    let tight = MemoryStore::builder()
        .max_entries(1)
        .keep_at_least(Duration::ZERO)
        .build();
    for name in 0..2 {
        evict(&tight, name).await;
    }
}

async fn evict(store: &MemoryStore, name: u8) {
    use tower_idempotency::{
        Fingerprint, RecordName, Store, UnknownOutcome,
        store::{Claim, Effects, OwnerToken},
    };

    let name = RecordName::from_bytes([name; RecordName::LEN]);
    let day = Duration::from_secs(24 * 60 * 60);
    let claim = Claim::new(name, OwnerToken::random(), day, day);
    let fingerprint = Fingerprint::from_bytes([0; Fingerprint::LEN]);
    advance(Duration::from_millis(1)).await;
    store
        .claim(&claim, &fingerprint, UnknownOutcome::Retry)
        .await
        .unwrap();
    store
        .complete(&claim, "record".into(), Effects::Keep)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_page_lists_every_metric_and_every_outcome_and_no_other() {
    let (meter, _guard) = Meter::capture();
    everything().await;
    let series = meter.series();
    let names: BTreeSet<_> = series
        .iter()
        .map(|series| series.split('{').next().unwrap().to_owned())
        .collect();
    assert_eq!(names, first_column("| metric | kind |"));

    let mut outcomes = first_column("| `outcome` | what happened |");
    assert!(outcomes.remove("Rejection"));
    outcomes.extend(REFUSALS.map(|(code, ..)| code.to_owned()));
    let seen: BTreeSet<_> = series
        .iter()
        .filter_map(|series| {
            let rest = series.strip_prefix("idempotency_requests_total{outcome=\"")?;
            Some(rest.trim_end_matches("\"}").to_owned())
        })
        .collect();
    assert_eq!(seen, outcomes);
}

/// Has happen what is told and not measured.
async fn mistakes() {
    let layer = IdempotencyLayer::new(FaultyStore::default());
    let inner = service_fn(async |_: Request<RequestBody<RequestBody<Body>>>| {
        Ok::<_, Infallible>(response(201, "paid"))
    });
    let twice = layer.layer(layer.layer(inner));
    twice.oneshot(keyed("key")).await.unwrap();
    let wire = Wire::plain(defaults, obedient(&Gate::default()));
    wire.send(keyed("key")).await;
    wire.store.tampers(|record| record[1..].to_vec());
    wire.send(keyed("key"))
        .await
        .assert_refused("store-unavailable");
}

#[tokio::test(start_paused = true)]
async fn the_page_lists_every_event_of_the_layer_and_no_other() {
    let (log, _guards) = Log::capture();
    everything().await;
    mistakes().await;
    let text = log.text();
    let told: Vec<_> = text
        .lines()
        .filter(|line| line.contains(" tower_idempotency::") && line.contains(" message="))
        .map(|line| {
            let level = line.split(' ').next().unwrap();
            (level, line.split_once(" message=").unwrap().1)
        })
        .collect();
    let table = PAGE.split_once("| level | message | when |").unwrap().1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let listed: Vec<_> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim).skip(1);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .filter(|(_, message)| !OF_OTHERS.iter().any(|other| message.starts_with(other)))
        .collect();
    let is_told = |listed: &(&str, &str), told: &(&str, &str)| {
        listed.0 == told.0 && told.1.starts_with(listed.1)
    };
    for row in &listed {
        assert!(
            told.iter().any(|told| is_told(row, told)),
            "{row:?}: {text}"
        );
    }
    for event in &told {
        assert!(
            listed.iter().any(|row| is_told(row, event)),
            "{event:?} is not on the page"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_counter_is_there_before_it_counts() {
    let (meter, _guard) = Meter::capture();
    let _wire = Wire::plain(defaults, obedient(&Gate::default()));
    let from_the_start = meter.counters();
    everything().await;
    assert_eq!(meter.counters(), from_the_start);
    for (code, ..) in REFUSALS {
        assert!(from_the_start.contains(&requests(code)), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_is_counted_once_by_its_outcome() {
    let (meter, _guard) = Meter::capture();
    let wire = Wire::plain(defaults, obedient(&Gate::default()));
    for _ in 0..3 {
        wire.send(keyed("key")).await;
    }
    wire.send(asked(keyed("free"), "503")).await;
    wire.send(asked(keyed("who knows"), "500")).await;
    for (outcome, times) in [("recorded", 1), ("replayed", 2), ("released", 1)] {
        assert_eq!(meter.sum(&requests(outcome)), times, "{outcome}");
    }
    // A space is no part of a key.
    assert_eq!(meter.sum(&requests("invalid-key")), 1);
    assert_eq!(meter.values("idempotency_handler_seconds").len(), 2);
    let operation = |operation| format!("idempotency_store_seconds{{operation={operation:?}}}");
    assert_eq!(meter.values(&operation("claim")).len(), 4);
    assert_eq!(meter.values(&operation("complete")).len(), 1);
    assert_eq!(meter.values(&operation("release")).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn times_are_in_seconds_and_gauges_come_back_to_nothing() {
    let (meter, _guard) = Meter::capture();
    let gate = Gate::default();
    let wire = Wire::plain(|layer| layer.wait(Duration::from_secs(60)), obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    let waiting = wire.spawn(asked(keyed("key"), "hold"));
    while meter.sum("idempotency_waiting") == 0 {
        tokio::task::yield_now().await;
    }
    advance(Duration::from_secs(3)).await;
    assert_eq!(meter.sum("idempotency_in_flight"), 1);
    assert_eq!(meter.sum("idempotency_waiting"), 1);
    assert_eq!(meter.sum("idempotency_memory_entries"), 1);
    gate.open();
    running.await.unwrap();
    waiting.await.unwrap();
    for time in ["idempotency_handler_seconds", "idempotency_wait_seconds"] {
        let [seconds] = meter.values(time)[..] else {
            panic!("{time} was measured more than once")
        };
        assert!((2.9..3.5).contains(&seconds), "{time}: {seconds}");
    }
    assert_eq!(meter.sum("idempotency_in_flight"), 0);
    assert_eq!(meter.sum("idempotency_waiting"), 0);
    assert_eq!(
        meter.sum("idempotency_memory_bytes"),
        i64::try_from(wire.store.memory.bytes()).unwrap()
    );
    drop(wire);
    // The renewer ends with its round, and the store with it.
    advance(Duration::from_secs(10)).await;
    tokio::task::yield_now().await;
    assert_eq!(meter.sum("idempotency_memory_entries"), 0);
    assert_eq!(meter.sum("idempotency_memory_bytes"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_released_is_no_longer_held() {
    let (meter, _guard) = Meter::capture();
    let wire = Wire::plain(defaults, obedient(&Gate::default()));
    for (answer, held) in [("503", 0), ("201", 1), ("503", 1)] {
        wire.send(asked(keyed(answer), answer)).await;
        wire.send(asked(keyed("other"), "503")).await;
        assert_eq!(meter.sum("idempotency_memory_entries"), held);
        let bytes = i64::try_from(wire.store.memory.bytes()).unwrap();
        assert_eq!(meter.sum("idempotency_memory_bytes"), bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn takeovers_lost_leases_and_late_answers_are_counted() {
    let (meter, _guard) = Meter::capture();
    let gate = Gate::default();
    let wire = Wire::plain(defaults, obedient(&gate));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    assert_eq!(meter.sum("idempotency_takeovers_total"), 0);
    take_over(&wire.store, || wire.send(keyed("key"))).await;
    gate.open();
    running.await.unwrap().assert_refused("superseded");
    assert_eq!(meter.sum("idempotency_takeovers_total"), 1);
    assert_eq!(meter.sum("idempotency_leases_lost_total"), 1);
    assert_eq!(meter.sum(&requests("superseded")), 1);
    let errors = r#"idempotency_store_errors_total{operation="renew",kind="unavailable"}"#;
    assert!(meter.sum(errors) >= 1, "{:?}", meter.series());
}

#[tokio::test(start_paused = true)]
async fn a_span_is_around_each_keyed_request_and_says_how_it_went() {
    let (log, _guards) = Log::capture();
    let wire = Wire::plain(defaults, obedient(&Gate::default()));
    wire.send(asked(keyed("key"), "500")).await;
    wire.send(keyed("key")).await;
    wire.send(keyed("key")).await;
    wire.send(keyed("not visible")).await;
    let text = log.text();
    let spans = text.matches(" idempotency\n").count();
    assert_eq!(spans, 4, "{text}");
    for field in [
        r#"outcome="unknown""#,
        "attempt=1",
        "attempt=2",
        r#"outcome="recorded""#,
        r#"outcome="replayed""#,
        r#"error.type="invalid-key""#,
        "claim_ms=",
        "handler_ms=",
        "settle_ms=",
        "record=",
    ] {
        assert!(text.contains(field), "no {field} in {text}");
    }
    let fields = first_column("| field | what |");
    assert_eq!(fields.len(), 8);
    for line in text.lines().filter(|line| line.contains(" idempotency ")) {
        let name = line.split(' ').nth(3).unwrap().split('=').next().unwrap();
        assert!(fields.contains(name), "{name} is not on the page");
    }
}

#[tokio::test(start_paused = true)]
async fn the_times_in_a_span_are_in_milliseconds() {
    let (log, _guards) = Log::capture();
    let gate = Gate::default();
    let wire = Wire::plain(|layer| layer.wait(Duration::from_secs(60)), obedient(&gate));
    let late = |millis| Fault::Late(Duration::from_millis(millis));
    wire.store.next(Op::Claim, late(250));
    wire.store.next(Op::Complete, late(500));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    let waiting = wire.spawn(asked(keyed("key"), "hold"));
    while wire.store.listeners() == 0 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(2)).await;
    gate.open();
    running.await.unwrap();
    waiting.await.unwrap();
    let text = log.text();
    for (field, least) in [
        ("claim_ms=", 250.0),
        ("handler_ms=", 2_000.0),
        ("settle_ms=", 500.0),
        ("wait_ms=", 2_500.0),
    ] {
        let values = text.split(field).skip(1);
        let values: Vec<f64> = values
            .map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap())
            .collect();
        assert!(
            values
                .iter()
                .any(|millis| (least..least + 10.0).contains(millis)),
            "{field}: {values:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_measured_and_one_that_crosses_the_end_of_its_run_loses_no_lease() {
    let (meter, _guard) = Meter::capture();
    let gate = Gate::default();
    let wire = Wire::plain(defaults, obedient(&gate));
    // Sent at 3.3 s, and applied when the run is over.
    wire.store
        .next(Op::Renew, Fault::Late(Duration::from_secs(1)));
    let running = wire.start(asked(keyed("key"), "hold")).await;
    sleep(Duration::from_millis(3_500)).await;
    gate.open();
    assert_eq!(running.await.unwrap().status, 201);
    sleep(Duration::from_secs(1)).await;
    let renewals = meter.values(r#"idempotency_store_seconds{operation="renew"}"#);
    assert!(
        matches!(renewals[..], [seconds] if seconds >= 1.0),
        "{renewals:?}"
    );
    assert_eq!(meter.sum("idempotency_leases_lost_total"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_inside_the_span_also_when_its_client_has_left() {
    let (_log, _guards) = Log::capture();
    let gate = Gate::default();
    let (seen, mut spans) = tokio::sync::mpsc::unbounded_channel();
    let handler = {
        let gate = gate.clone();
        move |_| {
            let (gate, seen) = (gate.clone(), seen.clone());
            async move {
                for _ in 0..2 {
                    let span = tracing::Span::current();
                    seen.send(span.metadata().map(tracing::Metadata::name))
                        .unwrap();
                    gate.pass().await;
                }
                crate::support::wire::response(201, "paid")
            }
        }
    };
    let wire = Wire::plain(defaults, handler);
    let running = wire.start(keyed("key")).await;
    assert_eq!(spans.recv().await.unwrap(), Some("idempotency"));
    running.abort();
    gate.open();
    assert_eq!(spans.recv().await.unwrap(), Some("idempotency"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_writes_into_no_span_but_its_own() {
    let (log, _guards) = Log::capture();
    let callers = tracing::info_span!("callers", outcome = tracing::field::Empty);
    let wire = Wire::plain(TestLayer::require_key, obedient(&Gate::default()));
    let request = crate::support::wire::unkeyed();
    tracing::Instrument::instrument(wire.send(request), callers).await;
    let text = log.text();
    assert!(text.contains("missing-key"), "{text}");
    let callers = text.lines().filter(|line| line.contains(" callers"));
    assert!(
        callers
            .into_iter()
            .all(|line| !line.contains("missing-key")),
        "{text}"
    );
}
