use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    codegen::{BoxFuture, Service},
    server::{self, NamedService, UnaryService},
    transport::Channel,
};
use tonic_prost::ProstCodec;

const CHARGE: &str = "/payments.Payments/Charge";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChargeRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) cents: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChargeReply {
    #[prost(string, tag = "1")]
    pub(crate) charge_id: String,
    #[prost(uint64, tag = "2")]
    pub(crate) cents: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) attempt: u32,
}

#[tonic::async_trait]
pub(crate) trait Payments: Send + Sync + 'static {
    async fn charge(
        &self,
        request: Request<ChargeRequest>,
    ) -> Result<Response<ChargeReply>, Status>;
}

pub(crate) struct PaymentsServer<T>(Arc<T>);

impl<T> PaymentsServer<T> {
    pub(crate) fn new(payments: T) -> Self {
        Self(Arc::new(payments))
    }
}

impl<T> Clone for PaymentsServer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> NamedService for PaymentsServer<T> {
    const NAME: &'static str = "payments.Payments";
}

impl<T: Payments> Service<http::Request<Body>> for PaymentsServer<T> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != CHARGE {
            let unknown = Status::unimplemented(request.uri().path());
            return Box::pin(async move { Ok(unknown.into_http()) });
        }
        let charge = Charge(Arc::clone(&self.0));
        Box::pin(async move {
            let mut grpc = server::Grpc::new(ProstCodec::default());
            Ok(grpc.unary(charge, request).await)
        })
    }
}

struct Charge<T>(Arc<T>);

impl<T: Payments> UnaryService<ChargeRequest> for Charge<T> {
    type Response = ChargeReply;
    type Future = BoxFuture<Response<ChargeReply>, Status>;

    fn call(&mut self, request: Request<ChargeRequest>) -> Self::Future {
        let payments = Arc::clone(&self.0);
        Box::pin(async move { payments.charge(request).await })
    }
}

pub(crate) struct PaymentsClient(client::Grpc<Channel>);

impl PaymentsClient {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(client::Grpc::new(channel))
    }

    pub(crate) async fn charge(
        &mut self,
        request: Request<ChargeRequest>,
    ) -> Result<Response<ChargeReply>, Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(CHARGE);
        self.0.unary(request, path, ProstCodec::default()).await
    }
}
