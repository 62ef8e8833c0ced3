use std::{
    collections::{HashMap, VecDeque},
    future::{self, Future},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::Extensions;
use tokio::time::{Instant, sleep};
use tower_idempotency::{
    Effects, Fingerprint, Guard, MemoryStore, RecordName, Store, UnknownOutcome,
    store::{Changed, Claim, Claimed, Completion, Renewal, StoreError, StoreErrorKind},
};

/// A memory store, or a Redis store where the environment names one, that writes down what it is
/// asked, and fails where a test wants it to.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    pub(crate) memory: MemoryStore,
    backing: Arc<dyn Store>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    calls: Vec<(Op, Instant)>,
    claims: Vec<(RecordName, Fingerprint)>,
    effects: Vec<Effects>,
    listeners: usize,
    next: HashMap<Op, VecDeque<Fault>>,
    always: HashMap<Op, Fault>,
    completion: Option<Completion>,
    extensions: Extensions,
    effect_committed: bool,
    tamper: Option<fn(Vec<u8>) -> Vec<u8>>,
}

/// An operation of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Claim,
    Renew,
    Complete,
    Release,
    Abandon,
}

/// What goes wrong with an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It fails and is not applied.
    Fails(StoreErrorKind),
    /// It is applied, and fails all the same.
    LosesReply(StoreErrorKind),
    /// It is applied after this long.
    Late(Duration),
    /// It is applied at once and answers after this long.
    RepliesLate(Duration),
    /// It is not applied and never answers.
    Hangs,
}

/// The statement of the guards that are handed out.
pub(crate) const GUARD: &str = "SELECT 1";

pub(crate) const DOWN: Fault = Fault::Fails(StoreErrorKind::Unavailable);

impl Default for FaultyStore {
    fn default() -> Self {
        let memory = MemoryStore::new();
        #[cfg(any(all(unix, feature = "redis"), feature = "postgres", feature = "sqlite"))]
        let backing =
            super::backing::Backing::of_environment().map(|store| store as Arc<dyn Store>);
        #[cfg(not(any(all(unix, feature = "redis"), feature = "postgres", feature = "sqlite")))]
        let backing = None;
        Self {
            backing: backing.unwrap_or_else(|| Arc::new(memory.clone())),
            memory,
            state: Arc::default(),
        }
    }
}

impl FaultyStore {
    /// Has the next call of an operation go wrong; several of these queue up.
    pub(crate) fn next(&self, op: Op, fault: Fault) {
        self.state().next.entry(op).or_default().push_back(fault);
    }

    /// Has every call of an operation go wrong from now on.
    pub(crate) fn always(&self, op: Op, fault: Fault) {
        self.state().always.insert(op, fault);
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state();
        state.always.clear();
        state.next.clear();
    }

    /// Has `complete` answer this and do nothing.
    pub(crate) fn completes_with(&self, completion: Completion) {
        self.state().completion = Some(completion);
    }

    /// Hands a value to every handler, in the extensions of its claim.
    pub(crate) fn hands_out(&self, extension: impl Clone + Send + Sync + 'static) {
        self.state().extensions.insert(extension);
    }

    /// Has every claim that follows find an effect that was committed under a guard, and gives a
    /// guard to those that are acquired.
    pub(crate) fn commits_effects(&self) {
        self.state().effect_committed = true;
    }

    /// Changes every record on its way out.
    pub(crate) fn tampers(&self, tamper: fn(Vec<u8>) -> Vec<u8>) {
        self.state().tamper = Some(tamper);
    }

    /// The operations so far, in order.
    pub(crate) fn calls(&self) -> Vec<Op> {
        self.state().calls.iter().map(|(op, _)| *op).collect()
    }

    /// When an operation was called.
    pub(crate) fn times(&self, wanted: Op) -> Vec<Instant> {
        let state = self.state();
        let times = state.calls.iter().filter(|(op, _)| *op == wanted);
        times.map(|(_, at)| *at).collect()
    }

    pub(crate) fn count(&self, op: Op) -> usize {
        self.times(op).len()
    }

    /// The names and fingerprints that were claimed, in order.
    pub(crate) fn claims(&self) -> Vec<(RecordName, Fingerprint)> {
        self.state().claims.clone()
    }

    pub(crate) fn effects(&self) -> Vec<Effects> {
        self.state().effects.clone()
    }

    /// How often a change of a name was listened for.
    pub(crate) fn listeners(&self) -> usize {
        self.state().listeners
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn around<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let fault = {
            let mut state = self.state();
            state.calls.push((op, Instant::now()));
            let next = state.next.get_mut(&op).and_then(VecDeque::pop_front);
            next.or_else(|| state.always.get(&op).copied())
        };
        match fault {
            None => call.await,
            Some(Fault::Fails(kind)) => Err(StoreError::new(kind, "injected")),
            Some(Fault::LosesReply(kind)) => {
                call.await?;
                Err(StoreError::new(kind, "injected"))
            }
            Some(Fault::Late(delay)) => {
                sleep(delay).await;
                call.await
            }
            Some(Fault::RepliesLate(delay)) => {
                let reply = call.await;
                sleep(delay).await;
                reply
            }
            Some(Fault::Hangs) => future::pending().await,
        }
    }
}

#[async_trait::async_trait]
impl Store for FaultyStore {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        self.state().claims.push((*claim.name(), *fingerprint));
        let call = self.backing.claim(claim, fingerprint, unknown_outcome);
        let mut claimed = self.around(Op::Claim, call).await?;
        match &mut claimed {
            Claimed::Acquired(acquired) => {
                let state = self.state();
                acquired.extensions = state.extensions.clone();
                // Whatever the store behind it hands out.
                acquired.effect_committed = state.effect_committed && acquired.attempt > 1;
                acquired.guard = state
                    .effect_committed
                    .then(|| Guard::new(GUARD.into(), claim, acquired.fence));
            }
            Claimed::Unknown {
                effect_committed, ..
            } => *effect_committed = self.state().effect_committed,
            Claimed::Completed(record) => {
                if let Some(tamper) = self.state().tamper {
                    *record = tamper(record.to_vec()).into();
                }
            }
            Claimed::Held { .. } => {}
        }
        Ok(claimed)
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.around(Op::Renew, self.backing.renew(claim)).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        let completion = {
            let mut state = self.state();
            state.effects.push(effects);
            state.completion
        };
        let call = async {
            match completion {
                Some(completion) => Ok(completion),
                None => self.backing.complete(claim, record, effects).await,
            }
        };
        self.around(Op::Complete, call).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.around(Op::Release, self.backing.release(claim)).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.around(Op::Abandon, self.backing.abandon(claim)).await
    }

    fn changed(&self, name: &RecordName) -> Changed {
        self.state().listeners += 1;
        self.backing.changed(name)
    }
}
