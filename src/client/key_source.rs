use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use uuid::{Builder, fmt::Hyphenated};

/// Says where the idempotency key of a call comes from that has none.
///
/// A key is made once per call, and all attempts of the call carry it; the next call gets another.
/// A key that the caller set is never touched. Safe methods (GET, HEAD, OPTIONS, TRACE) get none.
///
/// **A key makes a POST look safe to send again. It is so only where the server deduplicates**, as
/// this crate's layer does. This is why none is made unless asked for.
///
/// ```
/// use http::HeaderValue;
/// use tower_idempotency::client::{Key, RetryPolicy};
///
/// let retry = RetryPolicy::builder().idempotency_key(Key::UuidV7).build()?;
///
/// let own = Key::from_fn(|| HeaderValue::from(rand::random::<u64>()));
/// let retry = RetryPolicy::builder().idempotency_key(own).build()?;
/// # Ok::<(), tower_idempotency::client::InvalidPolicy>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Key {
    /// Makes none: only keys that the caller set are sent. This is the default.
    #[default]
    Never,
    /// Makes a random UUID (RFC 9562, version 4).
    UuidV4,
    /// Makes a UUID that begins with the time (RFC 9562, version 7), which indexes well.
    UuidV7,
    /// Makes what a closure returns, see [`from_fn`](Self::from_fn).
    Own(KeyFn),
}

impl Key {
    /// Makes keys with a closure that is called once per call.
    ///
    /// It must return another key each time, of 1 to 255 visible ASCII characters. A key that
    /// depends on the request, an order number say, is better set as a header on the request.
    #[must_use]
    pub fn from_fn(make: impl Fn() -> HeaderValue + Send + Sync + 'static) -> Self {
        Self::Own(KeyFn(Arc::new(make)))
    }

    pub(super) fn make(&self) -> Option<HeaderValue> {
        match self {
            Self::Never => None,
            Self::UuidV4 => Some(uuid_value(&Builder::from_random_bytes(random_bytes()))),
            Self::UuidV7 => {
                let [random @ .., _, _, _, _, _, _] = random_bytes();
                let uuid = Builder::from_unix_timestamp_millis(unix_millis(), &random);
                Some(uuid_value(&uuid))
            }
            Self::Own(make) => Some((make.0)()),
        }
    }
}

/// A closure that makes keys, made by [`Key::from_fn`].
#[derive(Clone)]
pub struct KeyFn(Arc<dyn Fn() -> HeaderValue + Send + Sync>);

impl fmt::Debug for KeyFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyFn")
    }
}

/// One draw of 128 bits takes a fifth of the time of 16 draws of a byte.
fn random_bytes() -> [u8; 16] {
    rand::random::<u128>().to_ne_bytes()
}

fn unix_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}

fn uuid_value(uuid: &Builder) -> HeaderValue {
    let mut text = [0; Hyphenated::LENGTH];
    let text = uuid.as_uuid().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).expect("a UUID is visible ASCII")
}
