//! A problem is JSON whatever the base of its type, and never holds the key.
#![no_main]

use bytes::Bytes;
use fuzz::{Canned, block_on, handler};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tower_idempotency::IdempotencyLayer;
use tower_layer::Layer;
use tower_service::Service;

fuzz_target!(|input: (String, Vec<u8>, bool)| {
    let (mut base, key, grpc) = input;
    // The setter takes a URI.
    base.retain(|char| char.is_ascii_graphic() && !r#""<>\^`{|}"#.contains(char));
    let mut request = Request::post("/").body(Full::<Bytes>::default()).unwrap();
    if let Ok(key) = HeaderValue::from_bytes(&key) {
        request.headers_mut().insert("idempotency-key", key);
    }
    if grpc {
        let grpc = HeaderValue::from_static("application/grpc+proto");
        request.headers_mut().insert("content-type", grpc);
    }
    block_on(async {
        let layer = IdempotencyLayer::new(Canned::default()).require_key();
        let mut service = layer.problem_base(base.clone()).layer(handler());
        let response = service.call(request).await.unwrap();
        if response.status() == 200 {
            return;
        }
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(problem["status"], status);
        let code = problem["code"].as_str().unwrap();
        assert_eq!(problem["type"], format!("{base}{code}"));
    });
});
