use std::future::ready;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};

use crate::support::{
    bodies::{End, chunked},
    wire::{TestLayer, Wire, answers, defaults, keyed, response, unkeyed},
};

/// Every field that a response may carry by RFC 9110 and its neighbours, and whether it is
/// replayed.
const FIELDS: [(&str, bool); 71] = [
    ("accept", true),
    ("accept-ch", true),
    ("accept-patch", true),
    ("accept-post", true),
    ("accept-ranges", true),
    ("access-control-allow-credentials", true),
    ("access-control-allow-headers", true),
    ("access-control-allow-methods", true),
    ("access-control-allow-origin", true),
    ("access-control-expose-headers", true),
    ("access-control-max-age", true),
    ("age", true),
    ("allow", true),
    ("alt-svc", true),
    ("authentication-info", true),
    ("cache-control", true),
    ("cache-status", true),
    ("clear-site-data", true),
    ("connection", false),
    ("content-digest", true),
    ("content-disposition", true),
    ("content-encoding", true),
    ("content-language", true),
    ("content-length", false),
    ("content-location", true),
    ("content-range", true),
    ("content-security-policy", true),
    ("content-type", true),
    ("cross-origin-opener-policy", true),
    ("date", false),
    ("deprecation", true),
    ("etag", true),
    ("expires", true),
    ("idempotency-key", true),
    ("keep-alive", false),
    ("last-modified", true),
    ("link", true),
    ("location", true),
    ("origin-agent-cluster", true),
    ("pragma", true),
    ("preference-applied", true),
    ("priority", true),
    ("proxy-authenticate", false),
    ("proxy-connection", false),
    ("proxy-status", true),
    ("ratelimit-limit", true),
    ("referrer-policy", true),
    ("refresh", true),
    ("repr-digest", true),
    ("retry-after", true),
    ("server", true),
    ("server-timing", true),
    ("set-cookie", false),
    ("sourcemap", true),
    ("strict-transport-security", true),
    ("sunset", true),
    ("te", false),
    ("timing-allow-origin", true),
    ("traceparent", true),
    ("trailer", false),
    ("transfer-encoding", false),
    ("upgrade", false),
    ("vary", true),
    ("via", true),
    ("warning", true),
    ("www-authenticate", true),
    ("x-content-type-options", true),
    ("x-custom", true),
    ("x-frame-options", true),
    ("x-named-by-connection", false),
    ("x-request-id", true),
];

fn with_all_fields() -> Response<Body> {
    let mut response = response(201, "body");
    for (name, _) in FIELDS {
        let value = match name {
            "connection" => "close, X-Named-By-Connection , keep-alive",
            "content-length" => "4",
            _ => name,
        };
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .append(name, HeaderValue::from_static(value));
    }
    for value in ["second", "third"] {
        for name in ["link", "set-cookie", "x-custom", "x-named-by-connection"] {
            response
                .headers_mut()
                .append(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// The fields of a response in their order, without those that axum or the layer adds to it.
fn fields(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let fields = fields.filter(|(name, _)| wanted(name));
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn is_replayed(name: &str) -> bool {
    FIELDS.contains(&(name, true))
}

#[tokio::test]
async fn every_standard_field_is_replayed_in_order_with_its_duplicates_or_left_out() {
    for wire in Wire::both(defaults, answers(with_all_fields)) {
        let bare = wire.send(unkeyed()).await;
        let first = wire.send(keyed("key")).await;
        assert_eq!(
            first.headers, bare.headers,
            "the first response is not changed"
        );
        assert_eq!(
            fields(&first.headers, |_| true),
            fields(&bare.headers, |_| true)
        );

        let replay = wire.send(keyed("key")).await;
        assert_eq!((replay.status, replay.text()), (201, "body"));
        let expected = fields(&bare.headers, is_replayed);
        let replayed = FIELDS.iter().filter(|(_, replayed)| *replayed).count();
        assert_eq!(
            expected.len(),
            replayed + 4,
            "two more each of `link` and `x-custom`"
        );
        assert_eq!(fields(&replay.headers, is_replayed), expected);
        let rest = fields(&replay.headers, |name| !is_replayed(name));
        let made_again = [("idempotency-replayed", "true"), ("content-length", "4")];
        let made_again = made_again.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(
            rest.iter().all(|field| made_again.contains(field)),
            "{rest:?}"
        );
        assert!(rest.contains(&made_again[0]));
        assert_eq!(wire.runs(), 2);
    }
}

#[tokio::test]
async fn a_replay_is_the_same_however_often_it_is_asked_for() {
    for wire in Wire::both(defaults, answers(with_all_fields)) {
        wire.send(keyed("key")).await;
        let one = wire.send(keyed("key")).await;
        for _ in 0..5 {
            let other = wire.send(keyed("key")).await;
            assert_eq!((other.status, &other.body), (one.status, &one.body));
            assert_eq!(
                fields(&other.headers, |_| true),
                fields(&one.headers, |_| true)
            );
        }
    }
}

#[tokio::test]
async fn only_the_fields_that_the_filter_lets_through_are_replayed() {
    let filter = |layer: TestLayer| {
        layer.replay_headers(|name| name == header::LOCATION || name == header::SET_COOKIE)
    };
    for wire in Wire::both(filter, answers(with_all_fields)) {
        let first = wire.send(keyed("key")).await;
        assert_eq!(first.header("etag"), Some("etag"));
        let replay = wire.send(keyed("key")).await;
        let mut rest = fields(&replay.headers, |name| name != "content-length");
        rest.sort();
        let expected = [("idempotency-replayed", "true"), ("location", "location")];
        assert_eq!(
            rest,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}

/// Reads a response frame by frame, and checks at each what its body says of itself.
async fn read_with_trailers(response: Response<Body>) -> (Vec<String>, HeaderMap) {
    assert_eq!(
        response.headers().get("content-length"),
        None,
        "no length while trailers wait"
    );
    let mut body = response.into_body();
    let mut chunks = Vec::new();
    loop {
        assert!(!body.is_end_stream(), "trailers wait");
        assert_eq!(body.size_hint().exact(), None, "trailers wait");
        match body
            .frame()
            .await
            .expect("trailers end the body")
            .unwrap()
            .into_data()
        {
            Ok(data) => chunks.push(String::from_utf8(data.to_vec()).unwrap()),
            Err(trailers) => {
                assert!(body.is_end_stream());
                assert!(body.frame().await.is_none());
                return (chunks, trailers.into_trailers().unwrap());
            }
        }
    }
}

#[tokio::test]
async fn trailers_are_replayed_and_the_body_is_not_at_its_end_while_they_wait() {
    for chunks in [&["one", "two"][..], &["one"], &[]] {
        let make = move || {
            let mut response = response(200, chunked(chunks, End::Trailer("x-checksum", "abc")));
            response
                .headers_mut()
                .insert(header::TRAILER, "x-checksum".parse().unwrap());
            response
        };
        for wire in Wire::both(defaults, answers(make)) {
            for replayed in [false, true] {
                let response = wire.respond(keyed("key")).await;
                assert_eq!(
                    response.headers().contains_key("idempotency-replayed"),
                    replayed
                );
                assert_eq!(response.headers().get("trailer").unwrap(), "x-checksum");
                let (data, trailers) = read_with_trailers(response).await;
                assert_eq!(data.concat(), chunks.concat());
                assert_eq!(trailers.len(), 1);
                assert_eq!(trailers["x-checksum"], "abc");
            }
            assert_eq!(wire.runs(), 1);
        }
    }
}

#[tokio::test]
async fn trailers_are_left_out_and_filtered_as_headers_are_but_for_grpcs() {
    let filter = |layer: TestLayer| layer.replay_headers(|name| name != "x-left-out");
    let make = || {
        let mut trailers = HeaderMap::new();
        for (name, _) in FIELDS {
            trailers.insert(name, HeaderValue::from_static("value"));
        }
        for name in ["x-left-out", "grpc-status"] {
            trailers.insert(name, HeaderValue::from_static("0"));
        }
        response(
            200,
            Body::new(Full::from("body").with_trailers(ready(Some(Ok(trailers))))),
        )
    };
    for wire in Wire::both(filter, answers(make)) {
        wire.send(keyed("key")).await;
        let (_, trailers) = read_with_trailers(wire.respond(keyed("key")).await).await;
        for (name, replayed) in FIELDS {
            // What is of one connection is said in its head.
            let replayed = replayed || ["trailer", "x-named-by-connection"].contains(&name);
            assert_eq!(trailers.contains_key(name), replayed, "{name}");
        }
        assert_eq!(trailers.get("x-left-out"), None);
        assert_eq!(trailers["grpc-status"], "0");
    }
    for wire in Wire::both(|layer| layer.replay_headers(|_| false), answers(make)) {
        wire.send(keyed("key")).await;
        let (_, trailers) = read_with_trailers(wire.respond(keyed("key")).await).await;
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["grpc-status"]);
    }
    let nothing = |layer: TestLayer| layer.replay_headers(|name| name == header::TRAILER);
    let make = || {
        let mut response = response(200, chunked(&["one"], End::Trailer("x-checksum", "abc")));
        let trailer = HeaderValue::from_static("x-checksum");
        response.headers_mut().insert(header::TRAILER, trailer);
        response
    };
    for wire in Wire::both(nothing, answers(make)) {
        wire.send(keyed("key")).await;
        let replay = wire.respond(keyed("key")).await;
        assert_eq!(replay.headers().get("trailer"), None);
        assert_eq!(replay.body().size_hint().exact(), Some(3));
    }
}

#[tokio::test]
async fn the_length_of_a_body_that_is_recorded_is_told_by_the_body_alone() {
    let make = || {
        let mut response = response(200, "four");
        let length = HeaderValue::from_static("4");
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length);
        response
    };
    let wire = Wire::plain(defaults, answers(make));
    wire.send(keyed("key")).await;
    let replay = wire.respond(keyed("key")).await;
    assert_eq!(replay.headers().get(header::CONTENT_LENGTH), None);
    assert_eq!(replay.body().size_hint().exact(), Some(4));
}

#[tokio::test]
async fn the_length_of_a_body_that_was_not_sent_is_replayed() {
    let cover_all = |layer: TestLayer| layer.covers(|_| true);
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 304)] {
        let make = move || {
            let mut response = response(status, "");
            let length = HeaderValue::from_static("1234");
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            response
        };
        for wire in Wire::both(cover_all, answers(make)) {
            for _ in 0..2 {
                let mut request = keyed("key");
                *request.method_mut() = method.clone();
                let answer = wire.send(request).await;
                assert_eq!(answer.header("content-length"), Some("1234"), "{method}");
            }
            assert_eq!(wire.runs(), 1);
        }
    }
}

#[tokio::test]
async fn a_body_without_trailers_has_its_exact_length_and_no_trailer_field() {
    let make = || {
        let mut response = response(200, chunked(&["one", "two"], End::Clean));
        response
            .headers_mut()
            .insert(header::TRAILER, "x-checksum".parse().unwrap());
        response
    };
    for wire in Wire::both(defaults, answers(make)) {
        wire.send(keyed("key")).await;
        let replay = wire.respond(keyed("key")).await;
        assert_eq!(replay.headers().get("trailer"), None);
        assert_eq!(replay.body().size_hint().exact(), Some(6));
        assert!(!replay.body().is_end_stream());
    }
}

#[tokio::test]
async fn an_empty_answer_is_at_its_end_at_once() {
    for status in [200, 204, 304] {
        for wire in Wire::both(defaults, answers(move || response(status, ""))) {
            for _ in 0..2 {
                let answer = wire.respond(keyed("key")).await;
                assert_eq!(answer.status().as_u16(), status);
                assert!(answer.body().is_end_stream());
                assert_eq!(answer.body().size_hint().exact(), Some(0));
            }
            assert_eq!(wire.runs(), 1);
        }
    }
}
