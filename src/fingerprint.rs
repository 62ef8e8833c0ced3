use std::fmt;

use http::{Uri, header, request};

use crate::{
    body::Buffered,
    digest::{Digester, Purpose},
    hex::Hex,
};

/// Tells two requests apart that were sent under one key.
///
/// It is two digests: one of the credentials (where no scope is set), one of the request itself.
/// Comparing takes the same time wherever two fingerprints differ. `Debug` shows four bytes of the
/// request's.
#[derive(Clone, Copy, Eq)]
pub struct Fingerprint([u8; Self::LEN]);

/// A digest of a request's credentials: all zero where there are none, or they do not count.
pub(crate) type CredentialsDigest = [u8; 16];

const VERSION: u8 = 1;
const CREDENTIALS: std::ops::Range<usize> = 1..17;
const REQUEST: std::ops::Range<usize> = 17..49;

impl Fingerprint {
    /// The length of a fingerprint in bytes: a version, 16 bytes of the credentials' digest and
    /// 32 of the request's.
    pub const LEN: usize = 49;

    pub(crate) fn new(credentials: CredentialsDigest, request: [u8; 32]) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes[0] = VERSION;
        bytes[CREDENTIALS].copy_from_slice(&credentials);
        bytes[REQUEST].copy_from_slice(&request);
        Self(bytes)
    }

    /// Returns the fingerprint that these bytes are, for stores that read it back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the fingerprint.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Returns whether the two differ in nothing but their credentials.
    pub(crate) fn differs_in_credentials_only(&self, other: &Self) -> bool {
        self != other && self.0[0] == other.0[0] && same_bytes(&self.0[REQUEST], &other.0[REQUEST])
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", Hex(&self.0[REQUEST][..4]))
    }
}

fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| bits | (a ^ b));
    std::hint::black_box(differing) == 0
}

/// Digests what makes two requests the same: where they go, what they ask, and what they carry.
///
/// `canonical` stands in for content type, content encoding and body, where the user says what
/// these mean.
pub(crate) fn request_digest(
    digester: &Digester,
    parts: &request::Parts,
    target: &Uri,
    body: &Buffered,
    canonical: Option<&[u8]>,
) -> [u8; 32] {
    let mut digest = digester.start(Purpose::Request);
    digest.field(&authority(parts, target));
    digest.field(parts.method.as_str().as_bytes());
    digest.field(
        target
            .path_and_query()
            .map_or("", |path| path.as_str())
            .as_bytes(),
    );
    if let Some(canonical) = canonical {
        digest.length(1);
        digest.field(canonical);
    } else {
        digest.length(0);
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            for value in parts.headers.get_all(name) {
                digest.length(1);
                digest.field(value.as_bytes());
            }
            digest.length(0);
        }
        digest.length(body.len());
        for chunk in body.chunks() {
            digest.bytes(chunk);
        }
    }
    digest.finish()
}

/// Returns where a request goes, in lower case and without a default port: HTTP/2 says it in the
/// target, HTTP/1 in `Host`, without the scheme, so that either default port may be the one.
fn authority(parts: &request::Parts, target: &Uri) -> Vec<u8> {
    let authority = match target.authority().or_else(|| parts.uri.authority()) {
        Some(authority) => authority.as_str().as_bytes(),
        None => parts
            .headers
            .get(header::HOST)
            .map_or(&[][..], |host| host.as_bytes()),
    };
    let mut authority = authority.to_ascii_lowercase();
    for port in [":80", ":443"] {
        if authority.ends_with(port.as_bytes()) {
            authority.truncate(authority.len() - port.len());
            break;
        }
    }
    authority
}
