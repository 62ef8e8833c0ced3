use std::{fmt, time::Duration};

use bytes::Bytes;
use http::Extensions;

use crate::{fingerprint::Fingerprint, guard::Guard, record_name::RecordName};

/// Names what is claimed, by whom, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    name: RecordName,
    owner: OwnerToken,
    lease_millis: u64,
    ttl_millis: u64,
}

impl Claim {
    /// The shortest lease and ttl: one millisecond. Shorter ones are lengthened to it.
    pub const MIN: Duration = Duration::from_millis(1);

    /// The longest lease: one hour. Longer ones are shortened to it.
    pub const MAX_LEASE: Duration = Duration::from_secs(60 * 60);

    /// The longest ttl: ten years of 365 days. Longer ones are shortened to it.
    pub const MAX_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

    /// Makes a claim; durations are rounded up to whole milliseconds and kept within the bounds
    /// above, so that no store needs to look at them again.
    #[must_use]
    pub fn new(name: RecordName, owner: OwnerToken, lease: Duration, ttl: Duration) -> Self {
        Self {
            name,
            owner,
            lease_millis: whole_millis(lease.clamp(Self::MIN, Self::MAX_LEASE)),
            ttl_millis: whole_millis(ttl.clamp(Self::MIN, Self::MAX_TTL)),
        }
    }

    /// Returns what is claimed.
    #[must_use]
    pub const fn name(&self) -> &RecordName {
        &self.name
    }

    /// Returns who claims it.
    #[must_use]
    pub const fn owner(&self) -> &OwnerToken {
        &self.owner
    }

    /// Returns how long the claim holds when nobody renews it, in whole milliseconds.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_millis)
    }

    /// Returns how long a record is kept, and a lapsed or abandoned claim after its deadline,
    /// in whole milliseconds.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_millis)
    }
}

/// Returns a duration that was clamped before, rounded up.
fn whole_millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + u64::from(duration.subsec_nanos().div_ceil(1_000_000))
}

/// Tells one owner of a claim from every other: 128 random bits, made anew for every run.
///
/// Whoever knows it can end the claim, so it is never sent to clients, and `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OwnerToken([u8; Self::LEN]);

impl OwnerToken {
    /// The length of a token in bytes.
    pub const LEN: usize = 16;

    /// Makes a token of random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(crate::runtime::random())
    }

    /// Returns the token that these bytes are, for stores that read it back.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the token.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for OwnerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerToken([redacted])")
    }
}

/// What [`Store::claim`](crate::Store::claim) found.
///
/// `Debug` shows the length of a record, and nothing of what is in it.
pub enum Claimed {
    /// The claim is ours: run.
    Acquired(Acquired),
    /// Another owner's lease is live.
    Held {
        /// The fingerprint of the request that runs, where the store knows it.
        fingerprint: Option<Fingerprint>,
        /// The time until its lease would pass, where the store knows it.
        left: Option<Duration>,
    },
    /// An earlier owner's outcome is unknown, and this claim may not take over.
    Unknown {
        /// The fingerprint of the request whose outcome is unknown.
        fingerprint: Fingerprint,
        /// Whether that owner committed its effect under its [`Guard`].
        effect_committed: bool,
    },
    /// The record, as it was given to [`Store::complete`](crate::Store::complete).
    Completed(Bytes),
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired(acquired) => f.debug_tuple("Acquired").field(acquired).finish(),
            Self::Held { fingerprint, left } => f
                .debug_struct("Held")
                .field("fingerprint", fingerprint)
                .field("left", left)
                .finish(),
            Self::Unknown {
                fingerprint,
                effect_committed,
            } => f
                .debug_struct("Unknown")
                .field("fingerprint", fingerprint)
                .field("effect_committed", effect_committed)
                .finish(),
            Self::Completed(record) => write!(f, "Completed([{} bytes])", record.len()),
        }
    }
}

/// A claim that was acquired.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Acquired {
    /// Grows with every owner of one key, from 1: a resource that remembers the highest it has
    /// seen can refuse a late writer.
    pub fence: u64,
    /// Which attempt at the work this is, from 1.
    pub attempt: u32,
    /// What ties a transaction of the handler's own to this claim, where the store can share a
    /// database with it.
    pub guard: Option<Guard>,
    /// Whether an earlier attempt committed its effect under its guard.
    pub effect_committed: bool,
    /// What the store hands to the handler, in the request's extensions: a transaction, say.
    /// Dropped without [`Store::complete`](crate::Store::complete), what it holds is undone.
    pub extensions: Extensions,
}

impl Acquired {
    /// Makes an acquired claim without a guard, an earlier effect or extensions.
    #[must_use]
    pub fn new(fence: u64, attempt: u32) -> Self {
        Self {
            fence,
            attempt,
            guard: None,
            effect_committed: false,
            extensions: Extensions::new(),
        }
    }
}

/// What [`Store::renew`](crate::Store::renew) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The deadline was moved.
    Renewed,
    /// The claim is no longer this owner's.
    Lost,
}

/// What [`Store::complete`](crate::Store::complete) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    /// The record is kept.
    Kept,
    /// Another owner took over; nothing was changed.
    Superseded,
    /// The handler's writes were rolled back with the record, or may have been.
    Undone,
}
