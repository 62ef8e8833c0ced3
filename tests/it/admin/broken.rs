//! The conformance suite finds what is wrong with stores that let operators do wrong.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, task::yield_now};
use tower_idempotency::{
    Admin, Effects, Fingerprint, MemoryStore, RecordName, Store, UnknownOutcome,
    admin::{Entry, Force, Forgotten, List, Page, Repair, Repaired, State},
    store::{Changed, Claim, Claimed, Completion, OwnerToken, Renewal, StoreError},
    testing::{Capabilities, Violations, admin_conformance},
};

/// The leases and ttls that the suite does not wait for.
const LONG: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Nothing,
    LapsedIsNotFound,
    LapsedLooksLive,
    AbandonedLooksLapsed,
    FenceIsWrong,
    AttemptIsWrong,
    FingerprintIsWrong,
    LeaseIsTtl,
    LeaseIsHalf,
    ExpiryIsHalf,
    LengthIsWrong,
    RecordIsCut,
    LaterClientsAreBlind,
    ForgetsLiveClaims,
    ForceIsIgnored,
    ForgetsInWords,
    ForgettingWakesNobody,
    RepairsLiveClaims,
    RepairsRecords,
    RepairsAnyRun,
    RepairsAnyRequest,
    RepairsAbsent,
    RepairsInWords,
    RepairForOwner,
    RepairedForever,
    RepairedTooShort,
    RepairOnlyOnce,
    RepairIsTorn,
    RepairWakesNobody,
    ListOmitsLapsed,
    ListEndsEarly,
    ListShowsExpired,
    ListIgnoresState,
    ListByStateOmitsLapsed,
    ListTellsWrongState,
    ListCutsNames,
    ListCutsNamesShort,
    /// No fault: a record's name need not be whole.
    ListCutsNamesOfRecords,
}

/// A store that keeps its contract but for one fault.
#[derive(Clone)]
struct Faulty {
    fault: Fault,
    store: MemoryStore,
    claims: Arc<Mutex<HashMap<RecordName, Claim>>>,
    repaired: Arc<Mutex<Vec<OwnerToken>>>,
    changed: Arc<Notify>,
    clients: Arc<AtomicUsize>,
    is_blind: bool,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            store: MemoryStore::new(),
            claims: Arc::default(),
            repaired: Arc::default(),
            changed: Arc::default(),
            clients: Arc::default(),
            is_blind: false,
        }
    }

    /// Returns another client of the same store.
    fn client(&self) -> Self {
        let is_first = self.clients.fetch_add(1, Ordering::Relaxed) == 0;
        Self {
            is_blind: self.is(Fault::LaterClientsAreBlind) && !is_first,
            ..self.clone()
        }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn wake(&self, unless: Fault) {
        if !self.is(unless) {
            self.changed.notify_waiters();
        }
    }

    fn spoil(&self, mut entry: Entry) -> Entry {
        match (self.fault, entry.state) {
            (Fault::LapsedLooksLive, State::Lapsed) => entry.state = State::InFlight,
            (Fault::AbandonedLooksLapsed, State::Abandoned) => entry.state = State::Lapsed,
            (Fault::FenceIsWrong, _) => entry.fence = entry.fence.map(|fence| fence + 1),
            (Fault::AttemptIsWrong, _) => entry.attempt = entry.attempt.map(|_| 1),
            (Fault::FingerprintIsWrong, _) => {
                let wrong = Fingerprint::from_bytes([0; Fingerprint::LEN]);
                entry.fingerprint = entry.fingerprint.map(|_| wrong);
            }
            (Fault::LeaseIsTtl, State::InFlight) => entry.lease_left = Some(entry.expires_in),
            (Fault::LeaseIsHalf, State::InFlight) => entry.lease_left = Some(LONG / 2),
            (Fault::ExpiryIsHalf, _) => entry.expires_in = LONG / 2,
            (Fault::LengthIsWrong, _) => entry.bytes = 1,
            _ => {}
        }
        entry
    }

    /// Records an answer, whatever is there.
    async fn overwrite(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        self.store.forget(repair.name(), Force::Yes).await?;
        let (lease, ttl) = (Duration::from_secs(1), repair.kept_for());
        let claim = Claim::new(*repair.name(), *repair.owner(), lease, ttl);
        let record = repair.record().clone();
        self.store.complete(&claim, record, Effects::Keep).await?;
        Ok(Repaired::Recorded)
    }

    fn spoil_listed(&self, mut entry: Entry) -> Entry {
        let cut = |name: &RecordName, to: usize| {
            let mut bytes = *name.as_bytes();
            bytes[to..].fill(0);
            RecordName::from_bytes(bytes)
        };
        match self.fault {
            Fault::ListTellsWrongState if entry.state == State::Abandoned => {
                entry.state = State::Lapsed;
            }
            Fault::ListCutsNames => entry.name = cut(&entry.name, 16),
            Fault::ListCutsNamesOfRecords if entry.state == State::Completed => {
                entry.name = cut(&entry.name, 16);
            }
            Fault::ListCutsNamesShort => entry.name = cut(&entry.name, 8),
            _ => {}
        }
        entry
    }
}

#[async_trait::async_trait]
impl Store for Faulty {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let claimed = self
            .store
            .claim(claim, fingerprint, unknown_outcome)
            .await?;
        if let Claimed::Acquired(_) = claimed {
            self.claims.lock().unwrap().insert(*claim.name(), *claim);
        }
        Ok(claimed)
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        self.store.renew(claim).await
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Result<Completion, StoreError> {
        self.changed.notify_waiters();
        self.store.complete(claim, record, effects).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store.release(claim).await
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store.abandon(claim).await
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(Arc::clone(&self.changed).notified_owned())
    }
}

#[async_trait::async_trait]
impl Admin for Faulty {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        let found = self.store.find(name).await?;
        let found =
            found.filter(|entry| !self.is(Fault::LapsedIsNotFound) || entry.state != State::Lapsed);
        Ok(found.map(|entry| self.spoil(entry)))
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        if self.is_blind {
            return Ok(None);
        }
        let record = self.store.record(name).await?;
        let len = if self.is(Fault::RecordIsCut) {
            1
        } else {
            usize::MAX
        };
        Ok(record.map(|record| record.slice(..record.len().min(len))))
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        let force = match self.fault {
            Fault::ForgetsLiveClaims => Force::Yes,
            Fault::ForceIsIgnored => Force::No,
            _ => force,
        };
        if self.is(Fault::ForgetsInWords) && self.store.find(name).await?.is_some() {
            return Ok(Forgotten::Forgotten);
        }
        self.wake(Fault::ForgettingWakesNobody);
        self.store.forget(name, force).await
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        if self.is(Fault::RepairsInWords) {
            return Ok(Repaired::Recorded);
        }
        let found = self.store.find(repair.name()).await?;
        let state = found.as_ref().map(|entry| entry.state);
        if self.is(Fault::RepairIsTorn) && state.is_some_and(State::is_unknown) {
            yield_now().await;
            return self.overwrite(repair).await;
        }
        if self.is(Fault::RepairForOwner) && state == Some(State::Lapsed) {
            let claim = self.claims.lock().unwrap()[repair.name()];
            let record = repair.record().clone();
            self.store.complete(&claim, record, Effects::Keep).await?;
            return Ok(Repaired::Recorded);
        }
        if self.is(Fault::RepairOnlyOnce) && self.repaired.lock().unwrap().contains(repair.owner())
        {
            return Ok(Repaired::Completed);
        }
        self.repaired.lock().unwrap().push(*repair.owner());
        self.wake(Fault::RepairWakesNobody);
        let kept_for = match self.fault {
            Fault::RepairedForever => Claim::MAX_TTL,
            Fault::RepairedTooShort => repair.kept_for() / 10 * 9,
            _ => repair.kept_for(),
        };
        let done = self.store.repair(&repair.clone().ttl(kept_for)).await?;
        let same_fence = found.and_then(|entry| entry.fence) == Some(repair.fence());
        match (self.fault, done) {
            (Fault::RepairsLiveClaims, Repaired::InFlight)
            | (Fault::RepairsRecords, Repaired::Completed)
            | (Fault::RepairsAbsent, Repaired::Absent) => self.overwrite(repair).await,
            (Fault::RepairsAnyRun, Repaired::Changed) if !same_fence => {
                self.overwrite(repair).await
            }
            (Fault::RepairsAnyRequest, Repaired::Changed) if same_fence => {
                self.overwrite(repair).await
            }
            _ => Ok(done),
        }
    }

    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        let all = List::new().at_once(list.keys());
        let all = list
            .begins_at()
            .map_or(all.clone(), |cursor| all.after(*cursor));
        let ignores_state = self.is(Fault::ListIgnoresState);
        let mut page = self
            .store
            .list(if ignores_state { &all } else { list })
            .await?;
        if self.is(Fault::ListOmitsLapsed) {
            page.entries.retain(|entry| entry.state != State::Lapsed);
        }
        let entries = page.entries.drain(..).map(|entry| self.spoil_listed(entry));
        page.entries = entries.collect();
        let wants = |state| {
            let name = RecordName::from_bytes([0; RecordName::LEN]);
            let page = list.page([Entry::new(name, state, LONG)], 0, None);
            !page.entries.is_empty()
        };
        if self.is(Fault::ListByStateOmitsLapsed) && !wants(State::Completed) {
            page.entries.retain(|entry| entry.state != State::Lapsed);
        }
        if self.is(Fault::ListEndsEarly) {
            page.next = None;
        }
        if self.is(Fault::ListShowsExpired) {
            let names: Vec<_> = self.claims.lock().unwrap().keys().copied().collect();
            for name in names {
                if self.store.find(&name).await?.is_none() {
                    let entry = Entry::new(name, State::Completed, Duration::ZERO);
                    page.entries.push(entry);
                }
            }
        }
        Ok(page)
    }
}

async fn verdict(fault: Fault) -> Result<(), Violations> {
    let store = Faulty::new(fault);
    admin_conformance(|| async { store.client() }, Capabilities::durable()).await
}

/// Says which rule each broken store must be seen to break.
macro_rules! broken {
    ($($name:ident: $fault:ident breaks $rule:literal,)*) => { $(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let violations = verdict(Fault::$fault).await.expect_err("the suite saw nothing");
            let is_named = violations.iter().any(|violation| violation.rule().starts_with($rule));
            assert!(is_named, "the suite saw something else: {violations}");
        }
    )* };
}

#[tokio::test(start_paused = true)]
async fn the_same_store_without_a_fault_passes() {
    verdict(Fault::Nothing).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listing_may_cut_the_names_of_records() {
    verdict(Fault::ListCutsNamesOfRecords).await.unwrap();
}

broken! {
    lapsed_claims_that_are_not_found: LapsedIsNotFound
        breaks "find tells what there is to know of a claim that is lapsed",
    lapsed_claims_that_look_live: LapsedLooksLive
        breaks "find tells what there is to know of a claim that is lapsed",
    abandoned_claims_that_look_lapsed: AbandonedLooksLapsed
        breaks "find tells what there is to know of a claim that is abandoned",
    a_wrong_fence: FenceIsWrong
        breaks "find tells what there is to know of a claim that is in-flight",
    a_wrong_attempt: AttemptIsWrong
        breaks "find tells what there is to know of a claim that is in-flight",
    a_wrong_fingerprint: FingerprintIsWrong
        breaks "find tells what there is to know of a claim that is in-flight",
    a_ttl_for_a_lease: LeaseIsTtl
        breaks "find tells what there is to know of a claim that is in-flight",
    half_a_lease: LeaseIsHalf
        breaks "find tells what there is to know of a claim that is in-flight",
    half_a_ttl_of_a_claim: ExpiryIsHalf
        breaks "find tells what there is to know of a claim that is in-flight",
    half_a_ttl_of_a_record: ExpiryIsHalf breaks "find tells the state, the length and the expiry",
    a_wrong_length: LengthIsWrong breaks "find tells the state, the length and the expiry",
    a_record_that_is_cut: RecordIsCut breaks "find tells the state, the length and the expiry",
    a_record_that_only_one_client_finds: LaterClientsAreBlind
        breaks "find tells the state, the length and the expiry",
    live_claims_that_are_forgotten: ForgetsLiveClaims
        breaks "a claim whose owner is at work is not forgotten, unless by force",
    force_that_is_ignored: ForceIsIgnored
        breaks "a claim whose owner is at work is not forgotten, unless by force",
    forgetting_in_words: ForgetsInWords breaks "a forgotten record is gone",
    forgetting_that_wakes_nobody: ForgettingWakesNobody breaks "forgetting wakes who waits",
    live_claims_that_are_repaired: RepairsLiveClaims
        breaks "while an owner is at work, nothing is recorded by hand",
    records_that_are_repaired: RepairsRecords
        breaks "an answer that the owner recorded meanwhile is left as it is",
    a_repair_of_any_run: RepairsAnyRun breaks "a repair is of the run that was looked at",
    a_repair_of_any_request: RepairsAnyRequest
        breaks "a repair is of the request that was looked at",
    a_repair_of_nothing: RepairsAbsent breaks "under a name that is absent",
    a_repair_in_words: RepairsInWords breaks "an answer recorded by hand is a record like any other",
    a_repair_for_its_late_owner: RepairForOwner
        breaks "an owner that comes back after a repair changes nothing",
    a_repair_without_an_end: RepairedForever
        breaks "an answer recorded by hand is kept for the ttl of the repair",
    a_repair_with_an_early_end: RepairedTooShort
        breaks "an answer recorded by hand is kept for the ttl of the repair",
    a_repair_whose_resend_is_too_late: RepairOnlyOnce breaks "a repair that is sent again",
    a_repair_in_two_steps: RepairIsTorn breaks "of twenty repairs at once",
    a_repair_that_wakes_nobody: RepairWakesNobody breaks "a repair wakes who waits",
    a_list_without_the_lapsed: ListOmitsLapsed breaks "a listing tells of every key",
    a_list_of_one_page: ListEndsEarly breaks "a listing tells of every key",
    a_list_with_what_has_expired: ListShowsExpired breaks "a listing tells of every key",
    a_list_that_ignores_the_state: ListIgnoresState breaks "a listing tells of every key",
    a_list_by_state_without_the_lapsed: ListByStateOmitsLapsed
        breaks "a listing tells of every key",
    a_list_that_tells_wrong_states: ListTellsWrongState breaks "a listing tells of every key",
    a_list_without_whole_names: ListCutsNames breaks "a listing tells of every key",
    a_list_whose_names_find_nothing: ListCutsNamesShort breaks "every record is listed",
}
