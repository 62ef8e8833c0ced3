use std::fmt;

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    uri::{self, Authority, PathAndQuery, Scheme},
};

/// The head of a request in one piece, kept in case it must be sent again.
///
/// Nearly every call succeeds at once and never needs it. A clone of the header map would cost
/// those calls two allocations and one more for most values; this costs one for all.
#[derive(Clone)]
pub(super) struct Head {
    method: Method,
    version: Version,
    extensions: Extensions,
    /// Scheme, authority, path (each empty if the URI has none), then name, mark and value of each
    /// header, as `write` makes them.
    text: Vec<u8>,
}

impl fmt::Debug for Head {
    /// Shows no header: it may hold credentials and the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// Bytes before each part: its length.
const PREFIX: usize = size_of::<u32>();

impl Head {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", Authority::as_str);
        let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
        let target = scheme.len() + authority.len() + path.len() + 3 * PREFIX;
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + size_of::<u8>() + 2 * PREFIX);
        let length = target + headers.sum::<usize>();
        let mut head = Self {
            method: request.method().clone(),
            version: request.version(),
            extensions: request.extensions().clone(),
            text: Vec::with_capacity(length),
        };
        head.write(scheme.as_bytes());
        head.write(authority.as_bytes());
        head.write(path.as_bytes());
        for (name, value) in request.headers() {
            head.write(name.as_str().as_bytes());
            head.text.push(u8::from(value.is_sensitive()));
            head.write(value.as_bytes());
        }
        head
    }

    pub(super) fn with_body<B>(self, body: B) -> Request<B> {
        let (uri, headers) = parse(&self.text).expect("what `of` wrote can be read");
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = headers;
        *request.extensions_mut() = self.extensions;
        request
    }

    fn write(&mut self, part: &[u8]) {
        let length = u32::try_from(part.len()).expect("hyper and h2 refuse a head of 4 GiB");
        self.text.extend_from_slice(&length.to_ne_bytes());
        self.text.extend_from_slice(part);
    }
}

fn parse(mut text: &[u8]) -> Option<(Uri, HeaderMap)> {
    let mut uri = uri::Parts::default();
    let scheme = read(&mut text)?;
    let authority = read(&mut text)?;
    let path = read(&mut text)?;
    // `://h/p` has a scheme, though an empty one.
    if !scheme.is_empty() || !authority.is_empty() && !path.is_empty() {
        uri.scheme = Some(Scheme::try_from(scheme).ok()?);
    }
    if !authority.is_empty() {
        uri.authority = Some(Authority::try_from(authority).ok()?);
    }
    if !path.is_empty() {
        uri.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    }
    let mut headers = HeaderMap::new();
    while !text.is_empty() {
        let name = HeaderName::from_bytes(read(&mut text)?).ok()?;
        let (is_sensitive, rest) = text.split_first()?;
        text = rest;
        let mut value = HeaderValue::from_bytes(read(&mut text)?).ok()?;
        value.set_sensitive(*is_sensitive != 0);
        headers.append(name, value);
    }
    Some((Uri::from_parts(uri).ok()?, headers))
}

/// Takes the first part off.
fn read<'a>(text: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = text.split_first_chunk()?;
    let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *text = rest;
    Some(part)
}
