//! What others say and test, as tables: the draft's own examples, the vectors of structured fields, and the tests of
//! other implementations. Read in November 2026. Where this crate does otherwise, the row says why.

use std::fmt;

use http::{HeaderValue, Method, Request};
use tower_idempotency::{
    InvalidKey::{self, Malformed, NotVisibleAscii},
    Rejection,
};

use crate::support::{
    scene::{asked, obedient},
    wire::{Answer, Gate, TestLayer, Wire, defaults, keyed, unkeyed},
};

/// draft-ietf-httpapi-idempotency-key-header-07.
const DRAFT: &str = "the draft";
/// <https://github.com/httpwg/structured-field-tests>, `string.json` and `token.json`.
const FIELDS: &str = "structured-field-tests";
/// <https://docs.stripe.com/api/idempotent_requests>.
const STRIPE: &str = "Stripe";
/// <https://github.com/paveg/hono-idempotency>, `tests/middleware.test.ts`.
const HONO: &str = "hono-idempotency";
/// <https://github.com/mahendraHegde/node-idempotency>, `packages/plugin-fastify/tests/e2e/idempotency.spec.ts`.
const NODE: &str = "node-idempotency";
/// <https://github.com/snok/asgi-idempotency-header>, `tests/test_middleware.py`.
const ASGI: &str = "asgi-idempotency-header";
/// <https://github.com/quarkiverse/quarkus-http-idempotency>, `KeyCharsetTest.java`.
const QUARKUS: &str = "quarkus-http-idempotency";

/// A field's value, and the key in it.
type Syntax = (&'static str, &'static str, Result<&'static str, InvalidKey>);

const SYNTAX: [Syntax; 15] = [
    (
        DRAFT,
        r#""8e03978e-40d5-43e8-bc93-6894a57f9324""#,
        Ok("8e03978e-40d5-43e8-bc93-6894a57f9324"),
    ),
    (FIELDS, r#""foo""#, Ok("foo")),
    (FIELDS, r#""foo"#, Err(Malformed)),
    (FIELDS, r#""foo \,""#, Err(Malformed)),
    (FIELDS, r#""foo \"#, Err(Malformed)),
    (FIELDS, r#""\!""#, Err(Malformed)),
    (FIELDS, r#""\"""#, Ok("\"")),
    (FIELDS, r#""\\""#, Ok("\\")),
    // A string of RFC 9651 may have spaces. A key may not: those who log, trim and split lines meet it too.
    (FIELDS, r#""foo \"bar\"""#, Err(NotVisibleAscii)),
    (FIELDS, "\"\"", Err(InvalidKey::Empty)),
    // No string of RFC 9651, but what the clients of most APIs send: the key itself.
    (FIELDS, "'foo'", Ok("'foo'")),
    (FIELDS, "a_b-c.d3:f%00/*", Ok("a_b-c.d3:f%00/*")),
    (HONO, "my-key-123", Ok("my-key-123")),
    (QUARKUS, "ascii-key-123", Ok("ascii-key-123")),
    (QUARKUS, "café-key", Err(NotVisibleAscii)),
];

#[tokio::test]
async fn keys_are_read_as_the_draft_and_other_implementations_write_them() {
    for wire in Wire::both(defaults, tells_the_key) {
        for (source, value, key) in SYNTAX {
            let answer = wire.send(keyed(value)).await;
            match key {
                Ok(key) => assert_eq!(answer.text(), key, "{source}: {value}"),
                Err(reason) => assert_eq!(
                    answer.rejection,
                    Some(Rejection::InvalidKey(reason)),
                    "{source}: {value}"
                ),
            }
        }
    }
}

/// `string-generated.json` of the structured fields has each byte in a string, and each escaped.
#[tokio::test]
async fn every_byte_in_a_string_is_as_in_the_generated_vectors_but_for_the_space() {
    let wire = Wire::plain(defaults, tells_the_key);
    let sent = async |value: Vec<u8>| {
        let mut request = unkeyed();
        // What http itself takes for no value at all never gets this far.
        let value = HeaderValue::from_bytes(&value).ok()?;
        request.headers_mut().insert("idempotency-key", value);
        Some(wire.send(request).await.status == 200)
    };
    for byte in 0..=u8::MAX {
        let plain = sent(vec![b'"', b'a', byte, b'a', b'"']).await;
        let visible = matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'\\');
        assert_eq!(plain.unwrap_or(false), visible, "{byte:#x} in a string");
        let escaped = sent(vec![b'"', b'\\', byte, b'"']).await;
        let may_be = matches!(byte, b'"' | b'\\');
        assert_eq!(escaped.unwrap_or(false), may_be, "escaped {byte:#x}");
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a handler")]
fn tells_the_key(
    request: Request<axum::body::Body>,
) -> std::future::Ready<http::Response<axum::body::Body>> {
    let context: &tower_idempotency::IdempotencyContext = request.extensions().get().unwrap();
    let key = context.key().as_str().to_owned();
    std::future::ready(crate::support::wire::response(200, key))
}

/// What happens to a key before the request that is looked at, and what that is.
#[derive(Debug, Clone, Copy)]
enum Scenario {
    NoKeyThoughRequired,
    NoKey,
    KeyOf(usize),
    Repeated,
    WhileTheFirstRuns,
    OtherPayload,
    OtherPath,
    AfterA(u16),
    Twice(&'static str),
}

use Scenario::{
    AfterA, KeyOf, NoKey, NoKeyThoughRequired, OtherPath, OtherPayload, Repeated, Twice,
    WhileTheFirstRuns,
};

/// What is answered, and how.
#[derive(Clone, Copy, PartialEq)]
struct Says(u16, Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Runs,
    Replays,
    Refuses,
}

use Kind::{Refuses, Replays, Runs};

const SAME: [(&str, Scenario, Says); 27] = [
    (DRAFT, NoKeyThoughRequired, Says(400, Refuses)),
    (DRAFT, OtherPayload, Says(422, Refuses)),
    (DRAFT, WhileTheFirstRuns, Says(409, Refuses)),
    (DRAFT, AfterA(201), Says(201, Replays)),
    // "Success or an error".
    (DRAFT, AfterA(404), Says(404, Replays)),
    (DRAFT, Repeated, Says(400, Refuses)),
    (STRIPE, KeyOf(255), Says(201, Runs)),
    (STRIPE, KeyOf(256), Says(400, Refuses)),
    (STRIPE, NoKey, Says(201, Runs)),
    (STRIPE, AfterA(201), Says(201, Replays)),
    (STRIPE, Twice("GET"), Says(201, Runs)),
    (HONO, NoKeyThoughRequired, Says(400, Refuses)),
    (HONO, NoKey, Says(201, Runs)),
    (HONO, KeyOf(256), Says(400, Refuses)),
    (HONO, WhileTheFirstRuns, Says(409, Refuses)),
    (HONO, OtherPayload, Says(422, Refuses)),
    (HONO, AfterA(201), Says(201, Replays)),
    (HONO, AfterA(500), Says(500, Runs)),
    (HONO, Twice("GET"), Says(201, Runs)),
    (HONO, Twice("PATCH"), Says(201, Replays)),
    (NODE, AfterA(201), Says(201, Replays)),
    (NODE, NoKeyThoughRequired, Says(400, Refuses)),
    (NODE, WhileTheFirstRuns, Says(409, Refuses)),
    (NODE, OtherPayload, Says(422, Refuses)),
    (ASGI, NoKey, Says(201, Runs)),
    (ASGI, AfterA(201), Says(201, Replays)),
    (ASGI, WhileTheFirstRuns, Says(409, Refuses)),
];

/// What they say, what this crate says, and why. A setting in the last place makes it say what they do.
type Difference = (
    &'static str,
    Scenario,
    Says,
    Says,
    &'static str,
    Option<fn(TestLayer) -> TestLayer>,
);

const DIFFERENT: [Difference; 5] = [
    (
        STRIPE,
        AfterA(500),
        Says(500, Replays),
        Says(500, Runs),
        "nobody knows what a handler did that answered 500; record_all is Stripe's rule",
        Some(TestLayer::record_all),
    ),
    (
        NODE,
        AfterA(500),
        Says(500, Replays),
        Says(500, Runs),
        "the same",
        Some(TestLayer::record_all),
    ),
    (
        HONO,
        AfterA(404),
        Says(404, Runs),
        Says(404, Replays),
        "the draft: success or an error; the outcome function can release it",
        Some(|layer| {
            layer.outcome(|parts| {
                if parts.status.is_success() {
                    tower_idempotency::Outcome::Final
                } else {
                    tower_idempotency::Outcome::Retryable
                }
            })
        }),
    ),
    (
        HONO,
        OtherPath,
        Says(201, Runs),
        Says(422, Refuses),
        "one key for two requests is a mistake, which nobody should have to find by its effects",
        None,
    ),
    (
        NODE,
        Twice("GET"),
        Says(201, Replays),
        Says(201, Runs),
        "a GET is idempotent by itself, says RFC 9110; covers can name it",
        Some(|layer| layer.covers(|_| true)),
    ),
];

#[tokio::test(start_paused = true)]
async fn answers_are_those_of_the_draft_and_of_other_implementations() {
    for (source, scenario, says) in SAME {
        assert_eq!(
            play(scenario, defaults).await,
            says,
            "{source}: {scenario:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_others_answer_otherwise_there_is_a_reason_and_mostly_a_setting() {
    for (source, scenario, theirs, ours, why, setting) in DIFFERENT {
        assert_ne!(theirs, ours);
        assert!(!why.is_empty());
        assert_eq!(
            play(scenario, defaults).await,
            ours,
            "{source}: {scenario:?}"
        );
        if let Some(setting) = setting {
            assert_eq!(
                play(scenario, setting).await,
                theirs,
                "{source}: {scenario:?}"
            );
        }
    }
}

async fn play(scenario: Scenario, setting: fn(TestLayer) -> TestLayer) -> Says {
    let gate = Gate::default();
    let wire = Wire::plain(
        |layer| match scenario {
            NoKeyThoughRequired => setting(layer).require_key(),
            _ => setting(layer),
        },
        obedient(&gate),
    );
    let method = |mut request: Request<_>, method| {
        *request.method_mut() = method;
        request
    };
    let answer = match scenario {
        NoKeyThoughRequired | NoKey => wire.send(unkeyed()).await,
        KeyOf(len) => wire.send(keyed(&"k".repeat(len))).await,
        Repeated => {
            let twice = crate::support::wire::with(keyed("key"), "idempotency-key", "key");
            wire.send(twice).await
        }
        WhileTheFirstRuns => {
            let running = wire.start(asked(keyed("key"), "hold")).await;
            let answer = wire.send(asked(keyed("key"), "hold")).await;
            gate.open();
            assert_eq!(running.await.unwrap().status, 201);
            answer
        }
        OtherPayload => {
            wire.send(keyed("key")).await;
            wire.send(keyed("key").map(|_| "amount=2".into())).await
        }
        OtherPath => {
            wire.send(keyed("key")).await;
            let mut other = keyed("key");
            *other.uri_mut() = "http://shop.example/refund".parse().unwrap();
            wire.send(other).await
        }
        AfterA(status) => {
            let status = status.to_string();
            wire.send(asked(keyed("key"), &status)).await;
            wire.send(asked(keyed("key"), &status)).await
        }
        Twice(name) => {
            let name = Method::from_bytes(name.as_bytes()).unwrap();
            wire.send(method(keyed("key"), name.clone())).await;
            wire.send(method(keyed("key"), name)).await
        }
    };
    Says::of(&answer)
}

impl Says {
    fn of(answer: &Answer) -> Self {
        let kind = match (answer.rejection, answer.is_replay()) {
            (Some(_), _) => Refuses,
            (None, true) => Replays,
            (None, false) => Runs,
        };
        Self(answer.status, kind)
    }
}

impl fmt::Debug for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.0, self.1)
    }
}
