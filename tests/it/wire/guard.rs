use axum::body::Body;
use http::Request;
use tower_idempotency::IdempotencyContext;

use crate::support::{
    faulty_store::GUARD,
    wire::{Wire, defaults, keyed, response},
};

#[tokio::test]
async fn a_handler_sees_its_guard_and_whether_an_earlier_attempt_committed_its_effect() {
    let tell = async |request: Request<Body>| {
        let context: &IdempotencyContext = request.extensions().get().unwrap();
        let guard = context.guard().map(|guard| {
            assert_eq!(guard.name(), context.record_name().as_bytes());
            assert_eq!(guard.owner().len(), 16);
            assert!(format!("{guard:?}").contains(GUARD), "{guard:?}");
            (guard.sql().to_owned(), guard.fence())
        });
        response(500, format!("{guard:?}, {}", context.effect_committed()))
    };
    let tell = move |request| Box::pin(tell(request));
    for wire in Wire::both(defaults, tell) {
        assert_eq!(wire.send(keyed("none")).await.text(), "None, false");
        wire.store.commits_effects();
        for (fence, committed) in [(1, false), (2, true)] {
            let told = format!("Some(({GUARD:?}, {fence})), {committed}");
            assert_eq!(wire.send(keyed("key")).await.text(), told);
        }
    }
}
