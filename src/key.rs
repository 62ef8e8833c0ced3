use std::{error::Error, fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue};

/// A request's idempotency key, as the client chose it.
///
/// A key is 1 to 255 visible ASCII characters. In the header it stands bare (`abc`) or as a string
/// of RFC 9651 (`"abc"`), as draft-ietf-httpapi-idempotency-key-header-07 asks; both are one key.
/// `Debug` shows nothing of it, since keys tend to hold order numbers and the like.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(
    // Only ever visible ASCII. A header's value is cloned without being copied.
    HeaderValue,
);

impl IdempotencyKey {
    /// The most characters a key may have.
    pub const MAX_LEN: usize = 255;

    /// Reads the key from a header field's value.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] says what is wrong with the value.
    pub fn from_header_value(value: &HeaderValue) -> Result<Self, InvalidKey> {
        let trimmed = value.as_bytes().trim_ascii();
        if let Some(quoted) = trimmed.strip_prefix(b"\"") {
            let key = unquote(quoted)?;
            check(&key)?;
            return Ok(Self(header_value(&key)));
        }
        if trimmed.contains(&b',') {
            return Err(InvalidKey::List);
        }
        check(trimmed)?;
        if trimmed.contains(&b'"') {
            return Err(InvalidKey::Malformed);
        }
        if trimmed.len() == value.len() {
            Ok(Self(value.clone()))
        } else {
            Ok(Self(header_value(trimmed)))
        }
    }

    /// Finds the key in a request's headers: `None` where the field is absent.
    pub(crate) fn find(
        headers: &HeaderMap,
        field: &HeaderName,
    ) -> Option<Result<Self, InvalidKey>> {
        let mut values = headers.get_all(field).iter();
        let first = values.next()?;
        Some(match values.next() {
            None => Self::from_header_value(first),
            Some(_) => Err(InvalidKey::Repeated),
        })
    }

    /// Returns the key without quotes and escapes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Reads a key as [`from_header_value`](IdempotencyKey::from_header_value) does.
impl FromStr for IdempotencyKey {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, InvalidKey> {
        let value = HeaderValue::from_str(key).map_err(|_| InvalidKey::NotVisibleAscii)?;
        Self::from_header_value(&value)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey([redacted])")
    }
}

/// Reads what follows the opening quote of a string of RFC 9651, section 3.3.3.
fn unquote(quoted: &[u8]) -> Result<Vec<u8>, InvalidKey> {
    let mut key = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next() {
            Some(b'"') => break,
            Some(b'\\') => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(*escaped),
                _ => return Err(InvalidKey::Malformed),
            },
            Some(byte) => key.push(*byte),
            None => return Err(InvalidKey::Malformed),
        }
    }
    match bytes.as_slice().trim_ascii_start() {
        [] => Ok(key),
        [b',', ..] => Err(InvalidKey::List),
        _ => Err(InvalidKey::Malformed),
    }
}

fn check(key: &[u8]) -> Result<(), InvalidKey> {
    match key {
        [] => Err(InvalidKey::Empty),
        key if key.len() > IdempotencyKey::MAX_LEN => Err(InvalidKey::TooLong),
        key if key.iter().all(u8::is_ascii_graphic) => Ok(()),
        _ => Err(InvalidKey::NotVisibleAscii),
    }
}

fn header_value(key: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(key).expect("visible ASCII is a header value")
}

/// Says why a header field holds no [`IdempotencyKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The key has no characters.
    Empty,
    /// The key is longer than [`IdempotencyKey::MAX_LEN`].
    TooLong,
    /// The key has a character that is not visible ASCII.
    NotVisibleAscii,
    /// The quotes or escapes are not those of a string of RFC 9651.
    Malformed,
    /// The field holds a list of keys.
    List,
    /// The field was given more than once.
    Repeated,
}

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the idempotency key is empty",
            Self::TooLong => "the idempotency key is longer than 255 characters",
            Self::NotVisibleAscii => {
                "the idempotency key has a character that is not visible ASCII"
            }
            Self::Malformed => "the idempotency key is not a well-formed quoted string",
            Self::List => "the idempotency key is a list; send one key",
            Self::Repeated => "the idempotency key was sent more than once; send one",
        })
    }
}

impl Error for InvalidKey {}
