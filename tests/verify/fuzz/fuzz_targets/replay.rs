//! A record that is read is replayed, or refused: the layer answers in any case, as HTTP or gRPC.
#![no_main]

use bytes::{BufMut, Bytes};
use fuzz::{Canned, block_on, handler};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tower_idempotency::IdempotencyLayer;
use tower_layer::Layer;
use tower_service::Service;

fuzz_target!(|input: (bool, bool, Vec<u8>)| {
    let (omitted, grpc, rest) = input;
    let store = Canned::with(move |asked| {
        let mut record = vec![1, u8::from(omitted)];
        record.put_slice(asked.name.as_bytes());
        record.put_slice(asked.fingerprint.as_bytes());
        record.put_slice(&rest);
        record.put_u32(crc32fast::hash(&record));
        record.into()
    });
    let content_type = if grpc {
        "application/grpc"
    } else {
        "text/plain"
    };
    let request = Request::post("/")
        .header("idempotency-key", "k")
        .header("content-type", content_type)
        .body(Full::<Bytes>::default())
        .unwrap();
    block_on(async {
        let mut service = IdempotencyLayer::new(store).layer(handler());
        let response = service.call(request).await.unwrap();
        if response.headers().contains_key("idempotency-replayed") {
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a buffered body");
            drop(body.to_bytes());
        } else if !grpc {
            let refused = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT];
            assert!(refused.contains(&response.status()));
        }
    });
});
