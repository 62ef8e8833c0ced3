use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, header},
    middleware::{Next, from_fn},
    response::Response,
    routing::post,
};
use tower_idempotency::Scope;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::app::{Answer, charging, idempotency, keyed, send};

/// Who is logged in.
#[derive(Clone)]
struct User(String);

/// A scope is found without waiting, and a session is loaded: a layer between the two loads it.
async fn load(session: Session, mut request: Request, next: Next) -> Response {
    if let Ok(Some(name)) = session.get("user").await {
        request.extensions_mut().insert(User(name));
    }
    next.run(request).await
}

fn app() -> Router {
    let layer = idempotency().scope(|parts| {
        let user: &User = parts.extensions.get()?;
        Some(Scope::new(&user.0))
    });
    let login = async |session: Session, name: String| {
        session.cycle_id().await.unwrap();
        session.insert("user", name).await.unwrap();
    };
    charging()
        .layer(layer)
        .route("/login", post(login))
        .layer(from_fn(load))
        .layer(SessionManagerLayer::new(MemoryStore::default()).with_secure(false))
}

async fn login(app: &Router, name: &'static str) -> String {
    let request = Request::post("/login").body(Body::from(name)).unwrap();
    let answer = send(app, request).await;
    let cookie = answer.header("set-cookie").expect("a session");
    cookie.split(';').next().unwrap().to_owned()
}

async fn charge(app: &Router, cookie: &str) -> Answer {
    let mut request = keyed("");
    let cookie = cookie.parse().unwrap();
    request.headers_mut().insert(header::COOKIE, cookie);
    send(app, request).await
}

#[tokio::test]
async fn a_key_belongs_to_the_user_of_the_session_and_not_to_the_session() {
    let app = app();
    let first = charge(&app, &login(&app, "ada").await).await;
    let bob = charge(&app, &login(&app, "bob").await).await;
    let again = charge(&app, &login(&app, "ada").await).await;
    assert_eq!(
        [&first, &bob, &again].map(Answer::is_replay),
        [false, false, true]
    );
    assert_eq!(first.body, again.body);
    assert_ne!(first.body, bob.body);
    assert_eq!(charge(&app, "").await.status, StatusCode::FORBIDDEN);
}
