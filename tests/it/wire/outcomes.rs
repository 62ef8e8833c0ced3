use axum::body::Body;
use http::Response;
use tower_idempotency::{Effects, Outcome};

use crate::support::{
    bodies::{End, chunked},
    faulty_store::Op,
    wire::{TestLayer, Wire, answers, defaults, keyed, response},
};

use Outcome::{Final, Retryable, Unknown};

/// Sends one request twice, and says what became of its key the first time.
async fn settled(
    setup: impl Fn(TestLayer) -> TestLayer,
    make: impl Fn() -> Response<Body> + Clone + Send + Sync + 'static,
) -> (Outcome, Vec<Effects>) {
    let mut settled = None;
    for wire in Wire::both(&setup, answers(make)) {
        let first = wire.send(keyed("key")).await;
        assert_eq!(
            first.rejection, None,
            "the first client gets the answer itself"
        );
        let [Op::Claim, settlement] = wire.store.calls()[..] else {
            panic!("{:?} is not a claim and its end", wire.store.calls())
        };
        let outcome = match settlement {
            Op::Complete => Final,
            Op::Release => Retryable,
            Op::Abandon => Unknown,
            other => panic!("{other:?} settles nothing"),
        };
        let effects = wire.store.effects();
        let second = wire.send(keyed("key")).await;
        assert_eq!(second.is_replay(), outcome == Final);
        assert_eq!((first.status, &first.body), (second.status, &second.body));
        assert_eq!(wire.runs(), if outcome == Final { 1 } else { 2 });
        settled = Some((outcome, effects));
    }
    settled.unwrap()
}

fn by_status(status: u16) -> Outcome {
    match status {
        401 | 403 | 409 | 425 | 429 | 503 => Retryable,
        408 | 500..=599 => Unknown,
        _ => Final,
    }
}

fn by_grpc_status(status: u8) -> Outcome {
    match status {
        7 | 8 | 10 | 14 | 16 => Retryable,
        1 | 2 | 4 | 13 => Unknown,
        _ => Final,
    }
}

fn undone_from(failed: bool, outcome: Outcome) -> Vec<Effects> {
    match outcome {
        Final if failed => vec![Effects::Undo],
        Final => vec![Effects::Keep],
        _ => vec![],
    }
}

#[tokio::test]
async fn every_status_is_recorded_released_or_unknown_as_the_table_says() {
    for status in 200..=599 {
        let expected = by_status(status);
        let settled = settled(defaults, move || response(status, "")).await;
        assert_eq!(
            settled,
            (expected, undone_from(status >= 400, expected)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn every_grpc_status_counts_in_headers_and_in_trailers() {
    const STATUSES: [&str; 18] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
        "17",
    ];
    for (number, status) in (0_u8..).zip(STATUSES) {
        let expected = by_grpc_status(number);
        let expected = (expected, undone_from(number != 0, expected));
        let in_headers = move || {
            let mut response = response(200, "");
            response
                .headers_mut()
                .insert("grpc-status", status.parse().unwrap());
            response
        };
        assert_eq!(
            settled(defaults, in_headers).await,
            expected,
            "{status} in the headers"
        );
        let in_trailers =
            move || response(200, chunked(&["data"], End::Trailer("grpc-status", status)));
        assert_eq!(
            settled(defaults, in_trailers).await,
            expected,
            "{status} in the trailers"
        );
    }
}

#[tokio::test]
async fn a_grpc_status_in_the_headers_goes_before_one_in_the_trailers_and_the_http_status() {
    let make = || {
        let mut response = response(503, chunked(&["data"], End::Trailer("grpc-status", "13")));
        response
            .headers_mut()
            .insert("grpc-status", "0".parse().unwrap());
        response
    };
    assert_eq!(settled(defaults, make).await, (Final, vec![Effects::Keep]));
}

#[tokio::test]
async fn record_all_records_every_status() {
    for status in [200, 401, 408, 409, 429, 500, 503, 599] {
        let (outcome, _) = settled(TestLayer::record_all, move || response(status, "x")).await;
        assert_eq!(outcome, Final, "{status}");
    }
}

#[tokio::test]
async fn a_rule_of_the_users_own_replaces_the_table() {
    let rule = |layer: TestLayer| {
        layer.outcome(|parts| match parts.status.as_u16() {
            200 => Retryable,
            404 => Unknown,
            _ => Final,
        })
    };
    for (status, expected) in [(200, Retryable), (404, Unknown), (500, Final), (503, Final)] {
        let (outcome, _) = settled(rule, move || response(status, "x")).await;
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn the_handler_has_the_last_word_whatever_rule_is_set() {
    let rules: [fn(TestLayer) -> TestLayer; 3] = [defaults, TestLayer::record_all, |layer| {
        layer.outcome(|_| Unknown)
    }];
    for rule in rules {
        for word in [Final, Retryable, Unknown] {
            for status in [200, 409, 500] {
                let make = move || {
                    let mut response = response(status, "x");
                    response.extensions_mut().insert(word);
                    response
                };
                assert_eq!(settled(rule, make).await.0, word, "{status}");
            }
        }
    }
}

#[tokio::test]
async fn the_handler_says_what_becomes_of_its_writes() {
    for (status, effects) in [(200, Effects::Undo), (422, Effects::Keep)] {
        let make = move || {
            let mut response = response(status, "x");
            response.extensions_mut().insert(effects);
            response
        };
        assert_eq!(settled(defaults, make).await, (Final, vec![effects]));
    }
}
