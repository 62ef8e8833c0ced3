use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode};

use super::{RepeatBody, head::Head};

/// A request that may be sent again: `http::Request` with a [`RepeatBody`], or a `reqwest::Request`.
pub trait RetryRequest: sealed::Request {}

impl<T: sealed::Request> RetryRequest for T {}

/// An answer that can be judged: `http::Response`, or a `reqwest::Response`.
pub trait RetryResponse: sealed::Response {}

impl<T: sealed::Response> RetryResponse for T {}

pub(super) mod sealed {
    use http::{Extensions, HeaderMap, Method, StatusCode};

    pub trait Request: Sized {
        /// What is kept of a request while it is under way.
        type Spare: Spare<Self>;

        fn method(&self) -> &Method;
        fn headers(&self) -> &HeaderMap;
        fn headers_mut(&mut self) -> &mut HeaderMap;
        /// Keeps it, unless it can be sent only once.
        fn spare(&self) -> Option<Self::Spare>;
    }

    pub trait Spare<R>: Sized {
        fn try_clone(&self) -> Option<Self>;
        fn into_request(self) -> R;
    }

    pub trait Response {
        fn status(&self) -> StatusCode;
        fn headers(&self) -> &HeaderMap;
        fn extensions_mut(&mut self) -> &mut Extensions;
    }
}

impl<B: RepeatBody> sealed::Request for Request<B> {
    type Spare = SpareRequest<B>;

    fn method(&self) -> &Method {
        self.method()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn spare(&self) -> Option<SpareRequest<B>> {
        let body = self.body().repeat()?;
        let head = Head::of(self);
        Some(SpareRequest { head, body })
    }
}

/// A request kept to be sent again.
#[derive(Debug)]
pub struct SpareRequest<B> {
    head: Head,
    body: B,
}

impl<B: RepeatBody> sealed::Spare<Request<B>> for SpareRequest<B> {
    fn try_clone(&self) -> Option<Self> {
        let body = self.body.repeat()?;
        let head = self.head.clone();
        Some(Self { head, body })
    }

    fn into_request(self) -> Request<B> {
        self.head.with_body(self.body)
    }
}

impl<B> sealed::Response for Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions_mut()
    }
}
