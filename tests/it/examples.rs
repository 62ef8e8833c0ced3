//! The examples do what they say.

#[cfg(feature = "client")]
mod clients;
mod conformance;
mod flags;
mod servers;

use crate::support::examples;

/// Examples that run to their end, and what they print if all is well.
const RUN_TO_END: [(&str, &[&str]); 3] = [
    ("custom_store", &["The store keeps its contract."]),
    (
        "lost_answers",
        &["| retry with key, idempotency layer | 1000 | 0 | 0 |"],
    ),
    (
        "tonic",
        &[
            "first call:  charge ",
            "attempt 1, grpc-status 0, replayed: false",
            "second call: charge ",
            "attempt 1, grpc-status 0, replayed: true",
            "another amount under that key: InvalidArgument",
        ],
    ),
];

#[tokio::test]
async fn examples_that_run_to_their_end_print_what_they_promise() {
    for (name, promised) in RUN_TO_END {
        let output = examples::run(name, &[]).await;
        assert!(output.status.success(), "{name}: {output:?}");
        let mut printed = &*String::from_utf8(output.stdout).unwrap();
        for promise in promised {
            let rest = printed.split_once(promise);
            printed = rest
                .unwrap_or_else(|| panic!("{name}: no {promise:?} in {printed:?}"))
                .1;
        }
    }
}
