use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Capabilities, violation::Failed};
use crate::{
    Fingerprint, RecordName, Store, UnknownOutcome,
    runtime::{self, Instant, sleep},
    store::{
        Acquired, Changed, Claim, Claimed, Completion, Effects, OwnerToken, Renewal, StoreError,
    },
};

/// One name of the store under test, which nothing else uses.
#[derive(Clone)]
pub(super) struct Subject {
    clients: Arc<[Arc<dyn Store>]>,
    pub(super) capabilities: Capabilities,
    pub(super) name: RecordName,
    /// What leases and ttls that are waited for are multiples of.
    pub(super) unit: Duration,
}

/// A lease or ttl that no check waits for.
pub(super) const LONG: Duration = Duration::from_secs(600);

impl Subject {
    pub(super) fn new(clients: Arc<[Arc<dyn Store>]>, capabilities: Capabilities) -> Self {
        let unit = capabilities.pace;
        Self {
            clients,
            capabilities,
            name: random_name(),
            unit,
        }
    }

    /// Returns the same store, under a name of its own.
    pub(super) fn another(&self) -> Self {
        Self {
            name: random_name(),
            ..self.clone()
        }
    }

    /// Returns one of the store's clients, counted round.
    pub(super) fn client(&self, number: usize) -> &Arc<dyn Store> {
        &self.clients[number % self.clients.len()]
    }

    pub(super) fn changed(&self, client: usize) -> Changed {
        self.client(client).changed(&self.name)
    }

    /// Sleeps for a unit, and for half of one more: the store's clock may be coarse.
    pub(super) async fn pass_a_unit(&self) {
        sleep(self.unit + self.unit / 2).await;
    }

    /// Sleeps until some units after a moment.
    pub(super) async fn pass_until(&self, start: Instant, units: u32) {
        runtime::sleep_until(start + self.unit * units).await;
    }

    /// Fails if so much has passed since that an answer says nothing about a lease.
    pub(super) fn in_time(&self, start: Instant, units: u32) -> Result<(), Failed> {
        if start.elapsed() < self.unit * units {
            Ok(())
        } else {
            Err(Failed::TooLate)
        }
    }

    pub(super) async fn claim(&self, client: usize, owner: &Owner) -> Answer {
        self.claim_as(client, owner, &owner.fingerprint, UnknownOutcome::Retry)
            .await
    }

    pub(super) async fn claim_as(
        &self,
        client: usize,
        owner: &Owner,
        fingerprint: &Fingerprint,
        policy: UnknownOutcome,
    ) -> Answer {
        let claim = owner.claim(&self.name);
        self.client(client)
            .claim(&claim, fingerprint, policy)
            .await
            .into()
    }

    /// Looks at the name as somebody who would not take it over.
    pub(super) async fn look(&self, client: usize) -> Answer {
        let stranger = Owner::random();
        self.claim_as(
            client,
            &stranger,
            &stranger.fingerprint,
            UnknownOutcome::Refuse,
        )
        .await
    }

    pub(super) async fn renew(&self, client: usize, owner: &Owner) -> Answer {
        self.client(client)
            .renew(&owner.claim(&self.name))
            .await
            .into()
    }

    pub(super) async fn complete(&self, client: usize, owner: &Owner) -> Answer {
        let record = owner.record.clone();
        self.client(client)
            .complete(&owner.claim(&self.name), record, Effects::Keep)
            .await
            .into()
    }

    pub(super) async fn release(&self, client: usize, owner: &Owner) -> Answer {
        self.client(client)
            .release(&owner.claim(&self.name))
            .await
            .into()
    }

    pub(super) async fn abandon(&self, client: usize, owner: &Owner) -> Answer {
        self.client(client)
            .abandon(&owner.claim(&self.name))
            .await
            .into()
    }
}

fn random_name() -> RecordName {
    RecordName::from_bytes(runtime::random())
}

/// Somebody who claims: who, what, and for how long.
#[derive(Clone)]
pub(super) struct Owner {
    pub(super) token: OwnerToken,
    pub(super) fingerprint: Fingerprint,
    pub(super) record: Bytes,
    pub(super) lease: Duration,
    pub(super) ttl: Duration,
}

impl Owner {
    /// Makes somebody whom nobody else is.
    pub(super) fn random() -> Self {
        Self {
            token: OwnerToken::random(),
            fingerprint: Fingerprint::from_bytes(runtime::random()),
            record: Bytes::copy_from_slice(&runtime::random::<100>()),
            lease: LONG,
            ttl: LONG,
        }
    }

    pub(super) fn lasting(self, lease: Duration, ttl: Duration) -> Self {
        Self { lease, ttl, ..self }
    }

    pub(super) fn claim(&self, name: &RecordName) -> Claim {
        Claim::new(*name, self.token, self.lease, self.ttl)
    }
}

/// What an operation answered.
///
/// Two are equal if they say the same; what a store need not know of a held claim is left out.
#[derive(Debug)]
pub(super) enum Answer {
    Acquired(Acquired),
    Held {
        fingerprint: Option<Fingerprint>,
        left: Option<Duration>,
    },
    Unknown(Fingerprint),
    Completed(Bytes),
    Renewal(Renewal),
    Completion(Completion),
    Done,
    Failed(StoreError),
}

impl Answer {
    pub(super) fn acquired(fence: u32) -> Self {
        Self::Acquired(Acquired::new(fence.into(), fence))
    }

    /// Drops what keeps an acquired claim, where it is a transaction.
    pub(super) fn let_go(&mut self) {
        if let Self::Acquired(acquired) = self {
            acquired.extensions.clear();
        }
    }

    pub(super) const fn held() -> Self {
        Self::Held {
            fingerprint: None,
            left: None,
        }
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Acquired(a), Self::Acquired(b)) => (a.fence, a.attempt) == (b.fence, b.attempt),
            (Self::Held { .. }, Self::Held { .. }) | (Self::Done, Self::Done) => true,
            (Self::Unknown(a), Self::Unknown(b)) => a == b,
            (Self::Completed(a), Self::Completed(b)) => a == b,
            (Self::Renewal(a), Self::Renewal(b)) => a == b,
            (Self::Completion(a), Self::Completion(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acquired(Acquired { fence, attempt, .. }) => {
                write!(f, "acquired, fence {fence}, attempt {attempt}")
            }
            Self::Held { .. } => f.write_str("held"),
            Self::Unknown(fingerprint) => write!(f, "unknown, fingerprint {fingerprint:?}"),
            Self::Completed(record) => {
                let start = &record[..record.len().min(4)];
                write!(
                    f,
                    "completed, {} bytes that begin with {start:02x?}",
                    record.len()
                )
            }
            Self::Renewal(renewal) => write!(f, "{renewal:?}"),
            Self::Completion(completion) => write!(f, "{completion:?}"),
            Self::Done => f.write_str("done"),
            Self::Failed(error) => {
                write!(f, "error: {error}")?;
                std::error::Error::source(error).map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
        }
    }
}

impl From<Result<Claimed, StoreError>> for Answer {
    fn from(result: Result<Claimed, StoreError>) -> Self {
        match result {
            Ok(Claimed::Acquired(acquired)) => Self::Acquired(acquired),
            Ok(Claimed::Held { fingerprint, left }) => Self::Held { fingerprint, left },
            Ok(Claimed::Unknown { fingerprint, .. }) => Self::Unknown(fingerprint),
            Ok(Claimed::Completed(record)) => Self::Completed(record),
            Err(error) => Self::Failed(error),
        }
    }
}

impl From<Result<Renewal, StoreError>> for Answer {
    fn from(result: Result<Renewal, StoreError>) -> Self {
        result.map_or_else(Self::Failed, Self::Renewal)
    }
}

impl From<Result<Completion, StoreError>> for Answer {
    fn from(result: Result<Completion, StoreError>) -> Self {
        result.map_or_else(Self::Failed, Self::Completion)
    }
}

impl From<Result<(), StoreError>> for Answer {
    fn from(result: Result<(), StoreError>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Done)
    }
}
