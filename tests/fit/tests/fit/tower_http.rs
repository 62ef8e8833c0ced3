use std::{
    convert::Infallible,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures_util::stream;
use tower::{Layer, ServiceExt};
use tower_http::{
    add_extension::AddExtensionLayer,
    cors::CorsLayer,
    csrf::CsrfLayer,
    decompression::RequestDecompressionLayer,
    limit::RequestBodyLimitLayer,
    map_response_body::MapResponseBodyLayer,
    normalize_path::NormalizePathLayer,
    propagate_header::PropagateHeaderLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    set_header::SetResponseHeaderLayer,
    trace::TraceLayer,
};
use tower_idempotency::Scope;
use tracing::Span;

use crate::app::{charging, idempotency, keyed, send, send_twice, with};

const NAME: HeaderName = HeaderName::from_static("x-served-by");
const ID: HeaderName = HeaderName::from_static("x-request-id");

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zipped(text: &str) -> Request<Body> {
    with(keyed(gzip(text)), header::CONTENT_ENCODING, "gzip")
}

/// Returns how many responses a trace layer saw of a first request and its replay.
async fn traced(put: impl FnOnce(Router, Arc<AtomicUsize>) -> Router) -> usize {
    let seen = Arc::new(AtomicUsize::new(0));
    let app = put(charging(), Arc::clone(&seen));
    send_twice(&app, || keyed("")).await;
    seen.load(Ordering::Relaxed)
}

/// Counts the responses that pass.
fn counting<B>(
    seen: Arc<AtomicUsize>,
) -> impl Fn(&Response<B>, Duration, &Span) + Clone + Send + Sync + 'static {
    move |_: &Response<B>, _: Duration, _: &Span| {
        seen.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn trace_outside_sees_replays_and_inside_only_what_ran() {
    let outside = traced(|app, seen| {
        app.layer(idempotency())
            .layer(TraceLayer::new_for_http().on_response(counting(seen)))
    });
    assert_eq!(outside.await, 2);
    let inside = traced(|app, seen| {
        app.layer(TraceLayer::new_for_http().on_response(counting(seen)))
            .layer(idempotency())
    });
    assert_eq!(inside.await, 1);
}

#[tokio::test]
async fn decompression_outside_makes_one_request_of_the_plain_and_the_compressed() {
    let app = charging()
        .layer(idempotency())
        .layer(RequestDecompressionLayer::new());
    let first = send(&app, zipped("amount=1")).await;
    let again = send(&app, keyed("amount=1")).await;
    assert_eq!(first.text(), "run 1, attempt 1, 8 bytes");
    assert_eq!((again.is_replay(), again.text()), (true, first.text()));
}

#[tokio::test]
async fn decompression_inside_tells_the_plain_and_the_compressed_apart() {
    let app = charging()
        .layer(RequestDecompressionLayer::new())
        .layer(idempotency());
    let [first, _] = send_twice(&app, || zipped("amount=1")).await;
    assert_eq!(first.text(), "run 1, attempt 1, 8 bytes");
    let plain = send(&app, keyed("amount=1")).await;
    assert_eq!(plain.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn cors_outside_answers_preflights_itself_and_lets_scripts_read_replays_and_refusals() {
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static("https://shop.example"))
        .allow_methods([Method::POST])
        .allow_headers([HeaderName::from_static("idempotency-key")])
        .expose_headers([HeaderName::from_static("idempotency-replayed")]);
    let app = charging().layer(idempotency().require_key()).layer(cors);
    let origin = |request| with(request, header::ORIGIN, "https://shop.example");

    let mut preflight = origin(keyed(""));
    *preflight.method_mut() = Method::OPTIONS;
    preflight.headers_mut().remove("idempotency-key");
    let preflight = with(preflight, header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
    let allowed = send(&app, preflight).await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("idempotency-key")
    );

    let [_, replay] = send_twice(&app, || origin(keyed(""))).await;
    let mut unkeyed = origin(keyed(""));
    unkeyed.headers_mut().remove("idempotency-key");
    let refusal = send(&app, unkeyed).await;
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    for answer in [&replay, &refusal] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://shop.example")
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("idempotency-replayed")
        );
    }
}

#[tokio::test]
async fn csrf_outside_keeps_a_foreign_page_from_a_recorded_answer() {
    let app = charging().layer(idempotency()).layer(CsrfLayer::new());
    send_twice(&app, || keyed("")).await;
    let site = HeaderName::from_static("sec-fetch-site");
    let foreign = send(&app, with(keyed(""), site, "cross-site")).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    assert!(!foreign.is_replay());
}

#[tokio::test]
async fn a_limit_outside_refuses_a_long_body_before_the_key_is_claimed() {
    let app = charging()
        .layer(idempotency())
        .layer(RequestBodyLimitLayer::new(8));
    let long = with(keyed("123456789"), header::CONTENT_LENGTH, "9");
    let refused = send(&app, long).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    // One that does not say how long it is breaks off while it is read.
    let chunks = ["12345", "6789"].map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
    let unknown = keyed(Body::from_stream(stream::iter(chunks)));
    let refused = send(&app, unknown).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("unreadable-body"));
    let [first, _] = send_twice(&app, || keyed("12345678")).await;
    assert_eq!(first.text(), "run 1, attempt 1, 8 bytes");
}

#[tokio::test]
async fn a_limit_inside_still_sees_the_length_of_what_was_read_ahead() {
    let app = charging()
        .layer(RequestBodyLimitLayer::new(8))
        .layer(idempotency());
    send_twice(&app, || keyed("12345678")).await;
    let mut long = with(keyed("123456789"), header::CONTENT_LENGTH, "9");
    long.headers_mut()
        .insert("idempotency-key", "another".parse().unwrap());
    let refused = send(&app, long).await;
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn every_attempt_has_a_request_id_of_its_own_where_that_is_outside() {
    let app = charging()
        .layer(idempotency())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid));
    let [first, replay] = send_twice(&app, || keyed("")).await;
    assert!(first.headers.contains_key(&ID) && replay.headers.contains_key(&ID));
    assert_ne!(first.headers[&ID], replay.headers[&ID]);
}

#[tokio::test]
async fn a_replay_has_the_first_requests_id_where_that_is_put_in_inside() {
    let app = charging()
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(idempotency());
    let [first, replay] = send_twice(&app, || keyed("")).await;
    assert_eq!(first.headers[&ID], replay.headers[&ID]);
}

#[tokio::test]
async fn a_header_that_is_propagated_outside_is_that_of_the_attempt() {
    let app = charging()
        .layer(idempotency())
        .layer(PropagateHeaderLayer::new(NAME));
    let first = send(&app, with(keyed(""), NAME, "one")).await;
    let second = send(&app, with(keyed(""), NAME, "two")).await;
    assert!(second.is_replay());
    assert_eq!(first.header("x-served-by"), Some("one"));
    assert_eq!(second.header("x-served-by"), Some("two"));
}

#[tokio::test]
async fn a_header_set_inside_is_replayed_and_one_set_outside_is_on_every_answer() {
    let numbers = Arc::new(AtomicUsize::new(0));
    let number = move |_: &Response<_>| {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        HeaderValue::from_str(&number.to_string()).ok()
    };
    let inside = charging()
        .layer(SetResponseHeaderLayer::overriding(NAME, number.clone()))
        .layer(idempotency());
    let [first, replay] = send_twice(&inside, || keyed("")).await;
    assert_eq!(first.headers[&NAME], replay.headers[&NAME]);
    let outside = charging()
        .layer(idempotency())
        .layer(SetResponseHeaderLayer::overriding(NAME, number));
    let [first, replay] = send_twice(&outside, || keyed("")).await;
    assert_ne!(first.headers[&NAME], replay.headers[&NAME]);
}

#[tokio::test]
async fn headers_marked_as_sensitive_are_read_all_the_same() {
    let marked = [
        HeaderName::from_static("idempotency-key"),
        header::AUTHORIZATION,
    ];
    let app = charging()
        .layer(idempotency())
        .layer(SetSensitiveRequestHeadersLayer::new(marked));
    let ada = || with(keyed(""), header::AUTHORIZATION, "Bearer ada");
    send_twice(&app, ada).await;
    let bob = with(keyed(""), header::AUTHORIZATION, "Bearer bob");
    assert_eq!(
        send(&app, bob).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn a_path_that_is_normalised_outside_is_one_path() {
    let app = NormalizePathLayer::trim_trailing_slash().layer(charging().layer(idempotency()));
    let mut slashed = keyed("");
    *slashed.uri_mut() = "/charge/".parse().unwrap();
    let first = app.clone().oneshot(keyed("")).await.unwrap();
    let second = app.oneshot(slashed).await.unwrap();
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert!(second.headers().contains_key("idempotency-replayed"));
}

#[tokio::test]
async fn what_an_outer_layer_adds_to_the_extensions_can_be_the_scope() {
    #[derive(Clone)]
    struct Tenant(&'static str);

    let layer = idempotency().scope(|parts| {
        let tenant: &Tenant = parts.extensions.get()?;
        Some(Scope::new(tenant.0))
    });
    let app = charging().layer(layer);
    let of = |tenant| app.clone().layer(AddExtensionLayer::new(Tenant(tenant)));
    let [ada, _] = send_twice(&of("ada"), || keyed("")).await;
    let [bob, _] = send_twice(&of("bob"), || keyed("")).await;
    assert_ne!(ada.body, bob.body);
    assert_eq!(send(&app, keyed("")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn bodies_of_other_types_go_through_on_both_sides() {
    let app = charging()
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(idempotency())
        .layer(MapResponseBodyLayer::new(Body::new));
    send_twice(&app, || keyed("")).await;
}
