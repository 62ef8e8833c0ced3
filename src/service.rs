use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

#[cfg(feature = "tracing")]
use crate::telemetry;
use crate::{
    body::{RequestBody, ResponseBody},
    exchange::Exchange,
    future::ResponseFuture,
    hang_up::HangUp,
    keyed::Keyed,
    rejection::is_grpc,
    shared::Shared,
    store::Store,
};

/// The service that [`IdempotencyLayer`](crate::IdempotencyLayer) makes.
///
/// It forwards a request without a key as it is, and carries out one with a key once. Its error is
/// the inner service's; refusals are responses. It must be polled inside a tokio runtime whose time
/// driver is on.
pub struct Idempotency<I, S> {
    inner: I,
    shared: Arc<Shared<S>>,
}

impl<I, S> Idempotency<I, S> {
    pub(crate) const fn new(inner: I, shared: Arc<Shared<S>>) -> Self {
        Self { inner, shared }
    }
}

impl<I, S, B, R> Service<Request<B>> for Idempotency<I, S>
where
    I: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    I::Error: Send + 'static,
    S: Store,
    B: Body<Data = Bytes> + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send,
{
    type Response = Response<ResponseBody<R>>;
    type Error = I::Error;
    type Future = ResponseFuture<I::Future, R, I::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        match Keyed::admit(&self.shared, &parts) {
            Ok(None) => {
                let request = Request::from_parts(parts, RequestBody::forwarded(body));
                ResponseFuture::forwarded(self.inner.call(request))
            }
            Ok(Some((keyed, name))) => {
                // The service that was polled ready is called; its clone has yet to be.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let hang_up = Arc::new(HangUp::default());
                let shared = Arc::clone(&self.shared);
                let exchange = Exchange::new(shared, keyed, name, Arc::clone(&hang_up));
                ResponseFuture::exchange(exchange.answer(inner, parts, body), hang_up)
            }
            Err(rejection) => {
                #[cfg(feature = "tracing")]
                let _entered = telemetry::span().entered();
                ResponseFuture::rejected(self.shared.reject(rejection, is_grpc(&parts.headers)))
            }
        }
    }
}

// Not derived: a store need be neither `Debug` nor `Clone`.
impl<I: fmt::Debug, S> fmt::Debug for Idempotency<I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("inner", &self.inner)
            .field("settings", &self.shared.settings)
            .finish()
    }
}

impl<I: Clone, S> Clone for Idempotency<I, S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}
