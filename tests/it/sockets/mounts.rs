//! Where the layer can be put.

use std::{
    cell::Cell,
    marker::PhantomPinned,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, routing::post};
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_idempotency::{IdempotencyContext, IdempotencyLayer, MemoryStore, RequestBody};
use uuid::Uuid;

use crate::support::sockets::{Client, Server, Version};

const BOTH: [Version; 2] = [Version::Http1, Version::Http2];

fn layer() -> IdempotencyLayer<MemoryStore> {
    IdempotencyLayer::new(MemoryStore::new()).require_key()
}

/// Answers with something new.
async fn charge(context: IdempotencyContext) -> String {
    format!("{} {}", context.key().as_str(), Uuid::new_v4())
}

/// Sends requests to `/accounts/1/charge`, and checks that one of two under a key ran.
async fn check(place: &str, server: &Server) {
    for version in BOTH {
        let mut client = Client::connect(server.address, version).await;
        let mut send = async |path: &str, key: &str| {
            let mut request = Request::post(path);
            if !key.is_empty() {
                request = request.header("idempotency-key", key);
            }
            client
                .send(request.body(Full::<Bytes>::default()).unwrap())
                .await
        };
        let (path, key) = ("/accounts/1/charge", format!("{version:?}"));
        let first = send(path, &key).await;
        assert_eq!(first.status, 200, "{place}: {first:?}");
        assert!(first.text().starts_with(&key), "{place}: {first:?}");
        let second = send(path, &key).await;
        assert!(
            second.is_replayed() && second.body == first.body,
            "{place}: {second:?}"
        );
        assert_eq!(send(path, "").await.status, 400, "{place}");
        assert_ne!(
            send(path, &format!("{key}-2")).await.body,
            first.body,
            "{place}"
        );
        // Another account is another request, wherever the router has cut the path.
        assert_eq!(
            send("/accounts/2/charge", &key).await.status,
            422,
            "{place}"
        );
    }
}

macro_rules! served {
    ($($place:literal: $service:expr,)+) => {$(
        check($place, &Server::start($service).await).await;
    )+};
}

#[tokio::test]
async fn the_layer_works_wherever_axum_takes_one() {
    const PATH: &str = "/accounts/{id}/charge";
    let inner = || Router::new().route("/charge", post(charge));
    served! {
        "Router::layer": Router::new().route(PATH, post(charge)).layer(layer()),
        "Router::route_layer": Router::new().route(PATH, post(charge)).route_layer(layer()),
        "a nested Router": Router::new().nest("/accounts/{id}", inner().layer(layer())),
        "around a nested Router": Router::new().nest("/accounts/{id}", inner()).layer(layer()),
        "a nested service": Router::new().nest_service("/accounts/{id}", layer().layer(inner())),
        "one MethodRouter": Router::new().route(PATH, post(charge).layer(layer())),
        "ServiceBuilder in axum": Router::new()
            .route(PATH, post(charge))
            .layer(ServiceBuilder::new().layer(layer()).concurrency_limit(1)),
        "ServiceBuilder around a Router": ServiceBuilder::new()
            .concurrency_limit(1)
            .layer(layer())
            .service(Router::new().route(PATH, post(charge))),
    }
}

#[tokio::test]
async fn the_layer_works_around_hyper_services_with_any_body() {
    served! {
        "Full<Bytes>": layer().layer(service_fn(answer::<Full<Bytes>>)),
        "a body that is neither Unpin nor Sync": layer().layer(service_fn(answer::<Awkward>)),
    }
}

async fn answer<B: From<String>>(
    request: Request<RequestBody<Incoming>>,
) -> Result<Response<B>, std::convert::Infallible> {
    let context = request.extensions().get::<IdempotencyContext>();
    let context = context.cloned().expect("a key is required");
    Ok(Response::new(B::from(charge(context).await)))
}

/// A body that is neither `Unpin` nor `Sync`, and gives its bytes one by one.
struct Awkward {
    left: Cell<Bytes>,
    _pinned: PhantomPinned,
}

impl From<String> for Awkward {
    fn from(text: String) -> Self {
        Self {
            left: Cell::new(text.into()),
            _pinned: PhantomPinned,
        }
    }
}

impl Body for Awkward {
    type Data = Bytes;
    type Error = std::num::ParseIntError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        cx.waker().wake_by_ref();
        let mut left = self.left.take();
        if left.is_empty() {
            return Poll::Ready(None);
        }
        let byte = left.split_to(1);
        self.left.set(left);
        Poll::Ready(Some(Ok(Frame::data(byte))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Holds at compile time: the layer asks nothing of a service but what the docs say.
#[allow(dead_code)]
fn the_service_is_a_service_of_any_body<B>()
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    fn assert<S, Q>(_: S)
    where
        S: Service<Q> + Clone + Send + 'static,
        S::Future: Send,
    {
    }
    assert::<_, Request<B>>(
        layer().layer(service_fn(|_: Request<RequestBody<B>>| async {
            Ok::<_, String>(Response::new(Full::<Bytes>::default()))
        })),
    );
}
