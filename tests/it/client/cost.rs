//! What a call that succeeds at once allocates over the bare inner service.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Service, ServiceExt, service_fn};
use tower_idempotency::client::{Budget, Key, RetryLayer, RetryPolicy, RetryPolicyBuilder};
use tower_layer::Layer;

fn request(key: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::post("http://127.0.0.1:5000/process-payment?a=b")
        .header("content-type", "application/json")
        .header("authorization", "Bearer 0123456789");
    for header in 0..20 {
        request = request.header(format!("x-header-{header}"), "value");
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    request.body(Full::from("order")).unwrap()
}

/// Allocations of one call through a service, once it is warm.
fn allocations<S>(mut service: S, key: Option<&str>) -> u64
where
    S: Service<Request<Full<Bytes>>>,
    S::Error: std::fmt::Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut call = |request| {
        runtime.block_on(async { service.ready().await.unwrap().call(request).await.unwrap() })
    };
    call(request(key));
    let request = request(key);
    allocation_counter::measure(|| drop(call(request))).count_total
}

fn over_the_bare_service(builder: RetryPolicyBuilder, key: Option<&str>) -> u64 {
    let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(())) });
    let retried = RetryLayer::new(builder.build().unwrap()).layer(inner);
    allocations(retried, key) - allocations(inner, key)
}

#[test]
fn a_call_that_succeeds_at_once_allocates_at_most_once() {
    let builder = RetryPolicy::builder;
    for (name, builder) in [
        ("plain", builder()),
        ("deadline", builder().deadline(Duration::from_secs(30))),
        ("timeout", builder().attempt_timeout(Duration::from_secs(5))),
        ("budget", builder().budget(Budget::percent(20))),
        ("key", builder().idempotency_key(Key::UuidV7)),
    ] {
        let more = over_the_bare_service(builder, Some("order-1"));
        assert!(more <= 1, "{name}: {more} allocations");
    }
}

#[test]
fn a_generated_key_is_one_allocation_more() {
    for key in [Key::UuidV4, Key::UuidV7] {
        let builder = RetryPolicy::builder().idempotency_key(key);
        assert!(over_the_bare_service(builder, None) <= 2);
    }
}
