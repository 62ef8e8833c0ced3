//! Two requests have one name exactly when scope and key are the same, and one fingerprint exactly
//! when all that is asked is the same.
#![no_main]

use arbitrary::Arbitrary;
use bytes::Bytes;
use fuzz::{Asked, Canned, block_on, handler};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use tower_idempotency::{IdempotencyKey, IdempotencyLayer, Scope};
use tower_layer::Layer;
use tower_service::Service;

#[derive(Arbitrary, Debug, Clone, PartialEq, Eq)]
struct Sent {
    scope: Option<Vec<Vec<u8>>>,
    key: Vec<u8>,
    put: bool,
    path: String,
    host: Vec<u8>,
    content_types: Vec<Vec<u8>>,
    content_encodings: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
    body: Vec<u8>,
}

/// What identifies a request, written down by other means than the crate's.
#[derive(PartialEq, Eq)]
struct Identity {
    name: (Option<Vec<Vec<u8>>>, String),
    credentials: Option<Vec<Vec<u8>>>,
    request: (Method, String, Vec<u8>, Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<u8>),
}

impl Sent {
    fn request(&self) -> Option<(Request<Full<Bytes>>, Identity)> {
        let method = if self.put { Method::PUT } else { Method::POST };
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("/{}", self.path))
            .body(Full::from(self.body.clone()))
            .ok()?;
        let path = request.uri().path_and_query()?.as_str().to_owned();
        let key = HeaderValue::from_bytes(&self.key).ok()?;
        let read = IdempotencyKey::from_header_value(&key)
            .ok()?
            .as_str()
            .to_owned();
        let headers = request.headers_mut();
        headers.insert("idempotency-key", key);
        headers.insert("host", HeaderValue::from_bytes(&self.host).ok()?);
        let lists = [
            ("content-type", &self.content_types),
            ("content-encoding", &self.content_encodings),
            ("x-api-key", &self.tokens),
        ];
        for (name, values) in lists {
            for value in values {
                headers.append(name, HeaderValue::from_bytes(value).ok()?);
            }
        }
        let mut host = self.host.to_ascii_lowercase();
        for port in [&b":80"[..], b":443"] {
            if let Some(stripped) = host.strip_suffix(port) {
                host = stripped.to_vec();
                break;
            }
        }
        let identity = Identity {
            name: (self.scope.clone(), read),
            credentials: self.scope.is_none().then(|| self.tokens.clone()),
            request: (
                method,
                path,
                host,
                self.content_types.clone(),
                self.content_encodings.clone(),
                self.body.clone(),
            ),
        };
        Some((request, identity))
    }

    fn asked(&self, request: Request<Full<Bytes>>) -> Option<Asked> {
        let store = Canned::default();
        let mut layer = IdempotencyLayer::new(store.clone());
        if let Some(parts) = self.scope.clone() {
            layer = layer.scope(move |_| {
                let mut parts = parts.iter();
                let first = Scope::new(parts.next()?);
                Some(parts.fold(first, Scope::and))
            });
        }
        block_on(async {
            let _ = layer.layer(handler()).call(request).await;
        });
        store.take()
    }
}

fuzz_target!(|pair: (Sent, Sent, u16)| {
    let (one, mut other, same) = pair;
    // Most of the two is the same, or chance would find no two that differ in little.
    let is_same = |bit: u16| same & 1 << bit == 0;
    if is_same(0) {
        other.scope.clone_from(&one.scope);
    }
    if is_same(1) {
        other.key.clone_from(&one.key);
    }
    if is_same(2) {
        other.put = one.put;
    }
    if is_same(3) {
        other.path.clone_from(&one.path);
    }
    if is_same(4) {
        other.host.clone_from(&one.host);
    }
    if is_same(5) {
        other.content_types.clone_from(&one.content_types);
    }
    if is_same(6) {
        other.content_encodings.clone_from(&one.content_encodings);
    }
    if is_same(7) {
        other.tokens.clone_from(&one.tokens);
    }
    if is_same(8) {
        other.body.clone_from(&one.body);
    }
    let (Some(one_sent), Some(other_sent)) = (one.request(), other.request()) else {
        return;
    };
    let (Some(a), Some(b)) = (one.asked(one_sent.0), other.asked(other_sent.0)) else {
        return;
    };
    let (one, other) = (one_sent.1, other_sent.1);
    assert_eq!(a.name == b.name, one.name == other.name);
    let same_request = one.request == other.request;
    let same_credentials =
        one.credentials.unwrap_or_default() == other.credentials.unwrap_or_default();
    assert_eq!(
        a.fingerprint == b.fingerprint,
        same_request && same_credentials
    );
});
