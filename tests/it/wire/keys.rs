use http::HeaderValue;
use tower_idempotency::{InvalidKey, Rejection};

use crate::support::wire::{Wire, answers, defaults, keyed, response, unkeyed, with};

#[tokio::test]
async fn a_malformed_key_is_refused_for_what_is_wrong_with_it_and_nothing_runs() {
    let longest = "k".repeat(255);
    let too_long = "k".repeat(256);
    let quoted_too_long = format!("\"{too_long}\"");
    let malformed: [(&str, InvalidKey); 24] = [
        ("", InvalidKey::Empty),
        (" ", InvalidKey::Empty),
        ("\"\"", InvalidKey::Empty),
        (&too_long, InvalidKey::TooLong),
        (&quoted_too_long, InvalidKey::TooLong),
        ("a b", InvalidKey::NotVisibleAscii),
        ("a\tb", InvalidKey::NotVisibleAscii),
        ("\"a b\"", InvalidKey::NotVisibleAscii),
        ("schlüssel", InvalidKey::NotVisibleAscii),
        ("\"schlüssel\"", InvalidKey::NotVisibleAscii),
        ("a, b", InvalidKey::List),
        ("a,b", InvalidKey::List),
        ("\"a\",\"b\"", InvalidKey::List),
        ("\"a\", \"b\"", InvalidKey::List),
        ("\"a\" , \"b\"", InvalidKey::List),
        ("\"a", InvalidKey::Malformed),
        ("\"", InvalidKey::Malformed),
        ("a\"", InvalidKey::Malformed),
        ("a\"b\"", InvalidKey::Malformed),
        ("\"a\"b", InvalidKey::Malformed),
        ("\"a\\\"", InvalidKey::Malformed),
        ("\"a\\n\"", InvalidKey::Malformed),
        ("\"a\";p=1", InvalidKey::Malformed),
        ("\"a\" b", InvalidKey::Malformed),
    ];
    for wire in Wire::both(defaults, answers(|| response(201, "paid"))) {
        for (key, reason) in malformed {
            let answer = wire.send(keyed(key)).await;
            answer.assert_refused("invalid-key");
            assert_eq!(
                answer.rejection,
                Some(Rejection::InvalidKey(reason)),
                "{key:?}"
            );
        }
        let twice = wire.send(with(keyed("a"), "idempotency-key", "a")).await;
        twice.assert_refused("invalid-key");
        assert_eq!(
            twice.rejection,
            Some(Rejection::InvalidKey(InvalidKey::Repeated))
        );

        let mut binary = unkeyed();
        let bytes = HeaderValue::from_bytes(b"\xff\xfe").unwrap();
        binary.headers_mut().insert("idempotency-key", bytes);
        wire.send(binary).await.assert_refused("invalid-key");

        assert_eq!((wire.runs(), wire.store.calls()), (0, vec![]));
        assert_eq!(wire.send(keyed(&longest)).await.status, 201);
    }
}

#[tokio::test]
async fn a_bare_and_a_quoted_key_are_one() {
    for wire in Wire::both(defaults, answers(|| response(201, "paid"))) {
        for (number, same) in [
            &["abc", "\"abc\"", " abc\t", "\t\"abc\" "][..],
            &["a\\b", "\"a\\\\b\""],
            &["\"a\\\"b\""],
            &["\"a,b\""],
            &["{\\}!~", "\"{\\\\}!~\""],
        ]
        .into_iter()
        .enumerate()
        {
            for (turn, key) in same.iter().enumerate() {
                let answer = wire.send(keyed(key)).await;
                assert_eq!(
                    (answer.status, answer.is_replay()),
                    (201, turn > 0),
                    "{key:?}"
                );
            }
            assert_eq!(wire.runs(), number + 1);
        }
    }
}
