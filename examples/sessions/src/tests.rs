use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::app;

/// Logs in, and returns the session's cookie.
async fn login(app: &Router, name: &'static str) -> String {
    let request = Request::post("/login").body(Body::from(name)).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn pay(app: &Router, cookie: &str) -> Response<Body> {
    let request = Request::post("/pay")
        .header("idempotency-key", "order-17")
        .header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// Returns the answer, and whether it is a replay.
async fn paid(app: &Router, cookie: &str) -> (String, bool) {
    let response = pay(app, cookie).await;
    assert_eq!(response.status(), StatusCode::OK);
    let replayed = response.headers().contains_key("idempotency-replayed");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (String::from_utf8(body.to_vec()).unwrap(), replayed)
}

#[tokio::test]
async fn two_users_with_one_key_do_not_share_an_answer_and_each_gets_their_own_again() {
    let app = app();
    let (ada, bob) = (login(&app, "ada").await, login(&app, "bob").await);
    let (first_of_ada, _) = paid(&app, &ada).await;
    let (first_of_bob, replayed) = paid(&app, &bob).await;
    assert!(first_of_ada.starts_with("ada paid") && first_of_bob.starts_with("bob paid"));
    assert!(!replayed);
    assert_eq!(paid(&app, &ada).await, (first_of_ada, true));
    assert_eq!(paid(&app, &bob).await, (first_of_bob, true));
}

#[tokio::test]
async fn a_retry_under_another_session_of_the_user_gets_the_answer() {
    let app = app();
    let before = login(&app, "ada").await;
    let (first, _) = paid(&app, &before).await;
    let after = login(&app, "ada").await;
    assert_ne!(before, after);
    assert_eq!(paid(&app, &after).await, (first, true));
}

#[tokio::test]
async fn who_is_not_logged_in_is_refused_and_learns_nothing_of_a_users_answer() {
    let app = app();
    paid(&app, &login(&app, "ada").await).await;
    for cookie in ["", "id=none"] {
        let response = pay(&app, cookie).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            body.contains("missing-principal") && !body.contains("ada"),
            "{body}"
        );
    }
}
