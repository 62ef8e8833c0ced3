use std::convert::Infallible;

use axum::{Router, extract::Request, response::IntoResponse, routing::post};
use axum_extra::{
    extract::{CookieJar, cookie::Cookie},
    json_lines::JsonLines,
    middleware::option_layer,
};
use futures_util::stream;
use serde_json::json;
use tower_idempotency::IdempotencyContext;

use crate::app::{charging, idempotency, keyed, send, send_twice};

#[tokio::test]
async fn the_layer_can_be_optional() {
    let on = charging().layer(option_layer(Some(idempotency())));
    send_twice(&on, || keyed("")).await;
    let off = charging().layer(option_layer(
        None::<tower_idempotency::IdempotencyLayer<tower_idempotency::MemoryStore>>,
    ));
    for run in ["run 1, attempt 0, 0 bytes", "run 2, attempt 0, 0 bytes"] {
        let answer = send(&off, keyed("")).await;
        assert_eq!((answer.text(), answer.is_replay()), (run, false));
    }
}

#[tokio::test]
async fn a_cookie_that_the_handler_sets_is_for_the_first_answer_alone() {
    let login = async |jar: CookieJar| (jar.add(Cookie::new("session", "secret")), "welcome");
    let app = Router::new()
        .route("/charge", post(login))
        .layer(idempotency());
    let [first, replay] = send_twice(&app, || keyed("")).await;
    assert_eq!(first.header("set-cookie"), Some("session=secret"));
    assert_eq!(replay.header("set-cookie"), None);
}

#[tokio::test]
async fn json_lines_of_unknown_length_are_recorded_whole() {
    let lines = async |context: IdempotencyContext, _: Request| {
        let attempt = context.attempt();
        let lines =
            (0..3).map(move |line| Ok::<_, Infallible>(json!({"line": line, "attempt": attempt})));
        JsonLines::new(stream::iter(lines)).into_response()
    };
    let app = Router::new()
        .route("/charge", post(lines))
        .layer(idempotency());
    let [first, _] = send_twice(&app, || keyed("")).await;
    assert_eq!(first.text().lines().count(), 3);
}
