use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::runtime::{Builder, Runtime};
use tower_idempotency::{Fingerprint, IdempotencyKey, RecordName, Scope, store::StoreErrorKind};

use crate::support::{
    bodies::BrokenBody,
    faulty_store::{Fault, FaultyStore, Op},
    wire::{TestLayer, Wire, answers, response},
};

/// RFC 9651, section 3.3.3, and the bare form, written down once more and differently.
fn model(value: &[u8]) -> Option<Vec<u8>> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte))?;
    let end = value.iter().rposition(|byte| !blank(byte))?;
    let value = &value[start..=end];
    let key = if value[0] == b'"' {
        if value.len() < 2 || value[value.len() - 1] != b'"' {
            return None;
        }
        let mut key = Vec::new();
        let mut escaped = false;
        for &byte in &value[1..value.len() - 1] {
            match (escaped, byte) {
                (false, b'\\') => escaped = true,
                (false, b'"') => return None,
                (true, b'"' | b'\\') | (false, _) => {
                    key.push(byte);
                    escaped = false;
                }
                (true, _) => return None,
            }
        }
        if escaped {
            return None;
        }
        key
    } else {
        if value.iter().any(|byte| matches!(byte, b',' | b'"')) {
            return None;
        }
        value.to_vec()
    };
    let visible = key.iter().all(|byte| (0x21..=0x7e).contains(byte));
    (visible && (1..=255).contains(&key.len())).then_some(key)
}

fn parsed(value: &[u8]) -> Option<Vec<u8>> {
    let value = HeaderValue::from_bytes(value).expect("no control characters");
    let key = IdempotencyKey::from_header_value(&value).ok()?;
    Some(key.as_str().as_bytes().to_vec())
}

fn quoted(key: &str) -> String {
    format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Header bytes, with those that mean something more often than others.
fn header_bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = select(b"\"\"\"\\\\,; \tab".to_vec());
    let any = prop_oneof![Just(b'\t'), 0x20_u8..0x7f, 0x80_u8..=0xff];
    vec(prop_oneof![4 => telling, 1 => any], 0..12)
}

/// Asks the layer what it calls a request. The store is full, so nothing runs.
struct Namer {
    runtime: Runtime,
    store: FaultyStore,
}

impl Namer {
    fn get() -> Self {
        let store = FaultyStore::default();
        store.always(Op::Claim, Fault::Fails(StoreErrorKind::Full));
        Self {
            runtime: Builder::new_current_thread().enable_time().build().unwrap(),
            store,
        }
    }

    fn name(
        &self,
        setup: impl Fn(TestLayer) -> TestLayer,
        request: Request<Body>,
    ) -> (RecordName, Fingerprint) {
        let wire = Wire::on(&self.store, setup, answers(|| response(201, "never")));
        let answer = self.runtime.block_on(wire.send(request));
        assert_eq!(
            (answer.code(), wire.runs()),
            (Some("store-unavailable"), 0),
            "{answer:?}"
        );
        *self.store.claims().last().unwrap()
    }
}

/// What a record name is made of. Parts of few letters meet often when they are only joined.
type Named = (String, Vec<String>, String);

fn named() -> impl Strategy<Value = Named> {
    ("[a:]{0,3}", vec("[a:]{0,2}", 1..4), "[a:]{1,3}")
}

fn record_name(namer: &Namer, (namespace, scope, key): &Named) -> RecordName {
    let parts = scope.clone();
    let setup = move |layer: TestLayer| {
        let parts = parts.clone();
        layer.namespace(namespace).scope(move |_| {
            let (first, rest) = parts.split_first().unwrap();
            Some(rest.iter().fold(Scope::new(first), Scope::and))
        })
    };
    let request = Request::post("/")
        .header("idempotency-key", key)
        .body(Body::empty())
        .unwrap();
    namer.name(setup, request).0
}

/// What a fingerprint is made of: method, target, host, types, encodings and body.
type Printed = (
    &'static str,
    String,
    String,
    Vec<String>,
    Vec<String>,
    Vec<u8>,
);

fn printed() -> impl Strategy<Value = Printed> {
    (
        select(vec!["POST", "PUT"]),
        "/[a?]{0,2}",
        "[ab]{1,2}",
        vec("[a/]{0,2}", 0..3),
        vec("[a/]{0,2}", 0..3),
        vec(select(b"a/\0".to_vec()), 0..3),
    )
}

fn fingerprint(namer: &Namer, printed: &Printed, chunks: usize) -> Fingerprint {
    let (method, target, host, types, encodings, body) = printed;
    let mut request = Request::builder()
        .method(*method)
        .uri(target.as_str())
        .header("host", host);
    request = request.header("idempotency-key", "key");
    for content_type in types {
        request = request.header("content-type", content_type);
    }
    for encoding in encodings {
        request = request.header("content-encoding", encoding);
    }
    let chunks = body
        .chunks(chunks)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))));
    let chunks: Vec<Result<_, BrokenBody>> = chunks.collect();
    let body = Body::new(StreamBody::new(stream::iter(chunks)));
    namer.name(|layer| layer, request.body(body).unwrap()).1
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_key_is_read_as_the_model_reads_it(value in header_bytes()) {
        prop_assert_eq!(parsed(&value), model(&value));
    }

    #[test]
    fn every_visible_key_survives_being_quoted(key in "[!-~]{1,255}") {
        let expected = Some(key.clone().into_bytes());
        prop_assert_eq!(&parsed(quoted(&key).as_bytes()), &expected);
        if !key.contains([',', '"']) {
            prop_assert_eq!(&parsed(key.as_bytes()), &expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn two_records_have_one_name_only_if_all_their_parts_are_equal(
        one in named(),
        other in named(),
    ) {
        let namer = Namer::get();
        let names = (record_name(&namer, &one), record_name(&namer, &other));
        prop_assert_eq!(names.0 == names.1, one == other);
        prop_assert_eq!(names.0, record_name(&namer, &one));
    }

    #[test]
    fn two_requests_have_one_fingerprint_only_if_all_their_parts_are_equal(
        one in printed(),
        other in printed(),
        chunks in 1_usize..4,
    ) {
        let namer = Namer::get();
        let prints = (fingerprint(&namer, &one, 1), fingerprint(&namer, &other, 1));
        prop_assert_eq!(prints.0 == prints.1, one == other);
        prop_assert_eq!(prints.0, fingerprint(&namer, &one, chunks), "chunks do not matter");
    }
}
