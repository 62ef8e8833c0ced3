use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    runtime::Runtime,
    time::{sleep, timeout},
};
use tower_idempotency::RequestBody;
use tower_service::Service;

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
}

/// Runs something to its end, which comes within a day by its own clock, and all that it began within
/// another.
pub fn block_on<F: Future>(future: F) -> F::Output {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    RUNTIME.with(|runtime| {
        let output = runtime.block_on(async {
            let output = timeout(DAY, future).await.expect("it hangs");
            sleep(DAY).await;
            output
        });
        let left = runtime.metrics().num_alive_tasks();
        assert_eq!(left, 0, "tasks are left behind");
        output
    })
}

/// A handler that answers at once.
#[derive(Clone, Copy, Debug)]
pub struct Answer;

#[must_use]
pub const fn handler() -> Answer {
    Answer
}

impl<B> Service<Request<RequestBody<B>>> for Answer {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<RequestBody<B>>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}
