use std::time::Duration;

use super::State;
use crate::{fingerprint::Fingerprint, record_name::RecordName};

/// What a store tells of one key, without the response.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name under which [`find`](super::Admin::find) and the others find it.
    ///
    /// Of a completed key, a store in memory or in Redis keeps the beginning of the name alone, and
    /// the record the whole of it. Where that is encrypted, a listed name ends in zeros: it finds
    /// and forgets as the whole one does, but does not decrypt.
    pub name: RecordName,
    /// In which state the key is.
    pub state: State,
    /// How long the lease is live, where it is.
    pub lease_left: Option<Duration>,
    /// How long it is kept; `Duration::MAX` if nothing ends it.
    pub expires_in: Duration,
    /// The fence of its owner, while there is no record.
    pub fence: Option<u64>,
    /// Which attempt at the work that is, while there is no record.
    pub attempt: Option<u32>,
    /// The fingerprint of the request, while there is no record: the record has it then.
    pub fingerprint: Option<Fingerprint>,
    /// Whether an attempt committed its effect under its [`Guard`](crate::Guard).
    pub effect_committed: bool,
    /// How long the record is, in bytes and as it is stored: 0 while there is none.
    pub bytes: usize,
}

impl Entry {
    /// Makes an entry that tells no more than this, for stores to fill in.
    #[must_use]
    pub const fn new(name: RecordName, state: State, expires_in: Duration) -> Self {
        Self {
            name,
            state,
            lease_left: None,
            expires_in,
            fence: None,
            attempt: None,
            fingerprint: None,
            effect_committed: false,
            bytes: 0,
        }
    }

    /// Returns how long ago the record was made, or the lease passed: zero while an owner is at work.
    /// An abandoned key is as old at least.
    ///
    /// A store keeps when something expires, not since when it is there, so this takes the layer's
    /// [`ttl`](crate::IdempotencyLayer::ttl), of 24 hours unless it was set.
    #[must_use]
    pub fn age(&self, ttl: Duration) -> Duration {
        ttl.saturating_sub(self.expires_in)
    }

    /// Returns the entry as an object of JSON in one line, with times in milliseconds.
    ///
    /// `record` is the whole name in hexadecimal; what the store does not know is `null`.
    #[must_use]
    pub fn to_json(&self, ttl: Duration) -> String {
        let Self {
            name,
            state,
            effect_committed,
            bytes,
            ..
        } = self;
        let age = self.age(ttl).as_millis();
        let lease_left = json(self.lease_left.map(|left| left.as_millis()));
        let ends = self.expires_in != Duration::MAX;
        let expires_in = json(ends.then_some(self.expires_in.as_millis()));
        let (attempt, fence) = (json(self.attempt), json(self.fence));
        format!(
            r#"{{"record":"{name:x}","state":"{state}","age_ms":{age},"lease_left_ms":{lease_left},"expires_in_ms":{expires_in},"attempt":{attempt},"fence":{fence},"effect_committed":{effect_committed},"bytes":{bytes}}}"#
        )
    }
}

fn json(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}
