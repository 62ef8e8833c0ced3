use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::Response;

use super::{Entry, State};
use crate::{
    body::Buffered,
    fingerprint::Fingerprint,
    record,
    record_name::RecordName,
    replay::is_never_replayed,
    store::{Claim, OwnerToken},
};

/// An answer that is recorded by hand, for a run whose outcome is unknown.
///
/// It is for the very run that was looked at: once another request has taken over, it changes
/// nothing.
#[derive(Clone)]
pub struct Repair {
    claim: Claim,
    fence: u64,
    fingerprint: Fingerprint,
    record: Bytes,
}

impl Repair {
    /// How long the answer is kept unless [`ttl`](Self::ttl) says otherwise: 24 hours.
    pub const TTL: Duration = Duration::from_secs(24 * 60 * 60);

    /// Makes a repair of what was found, with the answer that retries are to get. The header fields
    /// that no record has are left out of it: those of the connection, `Date`, `Set-Cookie`, and
    /// `Content-Length`, which is made again.
    ///
    /// # Errors
    ///
    /// [`NotUnknown`] where the outcome is not unknown: somebody is at work on it, or it is recorded.
    pub fn new(found: &Entry, answer: Response<Bytes>) -> Result<Self, NotUnknown> {
        let (Some(fence), Some(fingerprint)) = (found.fence, found.fingerprint) else {
            return Err(NotUnknown(found.state));
        };
        if !found.state.is_unknown() {
            return Err(NotUnknown(found.state));
        }
        let (head, body) = answer.into_parts();
        let record = record::encode(
            &found.name,
            &fingerprint,
            head.status,
            &head.headers,
            |name| !is_never_replayed(name),
            |_| true,
            Some(&Buffered::new(body, None)),
        );
        Ok(Self {
            claim: Claim::new(found.name, OwnerToken::random(), Claim::MIN, Self::TTL),
            fence,
            fingerprint,
            record,
        })
    }

    /// Keeps the answer for this long: the layer's ttl, as a rule. From 1 millisecond to ten years;
    /// what is beyond is clamped. Default: 24 hours.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        let Self { claim, .. } = self;
        self.claim = Claim::new(*claim.name(), *claim.owner(), claim.lease(), ttl);
        self
    }

    /// Returns what is repaired.
    #[must_use]
    pub const fn name(&self) -> &RecordName {
        self.claim.name()
    }

    /// Returns who the record belongs to: whoever made this, and no run.
    #[must_use]
    pub const fn owner(&self) -> &OwnerToken {
        self.claim.owner()
    }

    /// Returns how long the record is kept, in whole milliseconds.
    #[must_use]
    pub const fn kept_for(&self) -> Duration {
        self.claim.ttl()
    }

    /// Returns the fence of the run whose outcome is unknown.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// Returns the fingerprint of the request whose outcome is unknown.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the bytes to keep.
    #[must_use]
    pub const fn record(&self) -> &Bytes {
        &self.record
    }

    /// Returns the same repair with the record in another form, for a wrapper that encrypts it, say.
    #[must_use]
    pub fn with_record(&self, record: Bytes) -> Self {
        Self {
            record,
            ..self.clone()
        }
    }

    /// The claim that completes with the record.
    pub(crate) const fn claim(&self) -> &Claim {
        &self.claim
    }
}

/// Shows the length of the record, which is the client's alone.
impl fmt::Debug for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repair")
            .field("claim", &self.claim)
            .field("fence", &self.fence)
            .field("fingerprint", &self.fingerprint)
            .field("record", &self.record.len())
            .finish()
    }
}

/// What [`Admin::repair`](super::Admin::repair) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repaired {
    /// The answer is recorded: retries get it, and whoever ran before is superseded.
    Recorded,
    /// Nothing is kept under the name.
    Absent,
    /// An owner is at work, whose answer will be recorded: nothing was changed.
    InFlight,
    /// An answer is recorded already: nothing was changed.
    Completed,
    /// The outcome of another run is unknown than the one that was looked at: nothing was changed.
    Changed,
}

/// Why there is nothing to repair: what was found is in flight or completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotUnknown(State);

impl NotUnknown {
    /// Returns the state that was found.
    #[must_use]
    pub const fn state(self) -> State {
        self.0
    }
}

impl fmt::Display for NotUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::InFlight => "its owner is at work, and will record the answer itself",
            State::Completed => "an answer is recorded already: forget it first, if it is wrong",
            State::Lapsed | State::Abandoned => "the store does not tell whose outcome is unknown",
        })
    }
}

impl Error for NotUnknown {}
