//! Claims that are open transactions: the record commits with what the handler wrote.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Failure,
    claimed::{held, millis, unknown},
    core::Core,
    driver::Param::{Bool, Bytes as Binary, Int, Text},
    failure::FailureKind,
    open::Known,
    repeats::Repeats,
    row::Row,
    slot::{AnySlot, Missing},
    statements::{SAVEPOINT, UNDO},
    tracked::Tracked,
    unfinished::Unfinished,
};
use crate::{
    events,
    fingerprint::Fingerprint,
    hex::Hex,
    outcome::{Effects, UnknownOutcome},
    runtime,
    store::{Acquired, Claim, Claimed, Completion, Renewal},
};

impl Core {
    pub(super) async fn begin(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        self.within_deadline(async {
            let mut repeats = Repeats::new();
            loop {
                match self.open.get(claim) {
                    Known::Offered(slot) => return Ok(resent(slot)),
                    Known::Busy(changes) => changed(changes).await,
                    Known::Nothing => {}
                }
                let Some(tracked) = self.open.track(claim) else {
                    continue;
                };
                match self
                    .begin_once(claim, fingerprint, unknown_outcome, tracked)
                    .await
                {
                    // Nothing was decided yet.
                    Err(failure) => repeats.after(failure).await?,
                    claimed => return claimed,
                }
            }
        })
        .await
    }

    async fn begin_once(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
        tracked: Tracked,
    ) -> Result<Claimed, Failure> {
        let session = self.driver.session().await?;
        let mut unfinished = Unfinished::new(session, tracked);
        // What completes may have to follow a failed statement, when nothing can be prepared.
        unfinished.session().prepare(&self.statements.keep).await?;
        // The lock has a statement of its own: the next one's snapshot has whatever its last owner
        // committed. It comes before the savepoint, or would go with it.
        let lock = self.table.lock(claim.name());
        let owner = Hex(claim.owner().as_bytes());
        let script = format!(
            "SELECT pg_try_advisory_xact_lock({lock}), pg_is_in_recovery(), \
             set_config('tower_idempotency.owner', '{owner}', true); {SAVEPOINT}"
        );
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(fingerprint.as_bytes()),
            Bool(unknown_outcome == UnknownOutcome::Retry),
        ];
        let (began, found) = unfinished
            .session()
            .begin(&script, &self.statements.look, &params[..1])
            .await?;
        let began = began.first().ok_or_else(Failure::foreign)?;
        // All of this works on a standby, whose locks and records are not the primary's.
        if began.bool(1)? {
            return Err(Failure::standby());
        }
        let locked = began.bool(0)?;
        let mut acquired = Acquired::new(1, 1);
        let standing = match found.first().map(|row| row.bytes_or_null(0)).transpose()? {
            _ if !locked => Some(Claimed::Held {
                fingerprint: None,
                left: None,
            }),
            None => None,
            Some(Some(record)) => Some(Claimed::Completed(record)),
            // Left behind by servers in the claimed mode.
            Some(None) => {
                let session = unfinished.session();
                let found = session.query(&self.statements.find, &params).await?;
                let row = found.first();
                row.map_or(Ok(None), |row| standing(row, &mut acquired))?
            }
        };
        if let Some(standing) = standing {
            unfinished.session().roll_back().await?;
            unfinished.finish();
            return Ok(standing);
        }
        let slot = unfinished.offer();
        self.open.offer(claim, &slot);
        acquired.extensions = slot.extensions();
        Ok(Claimed::Acquired(acquired))
    }

    pub(super) fn is_open(&self, claim: &Claim) -> Renewal {
        match self.open.get(claim) {
            Known::Offered(_) => Renewal::Renewed,
            Known::Nothing | Known::Busy(_) => Renewal::Lost,
        }
    }

    /// Commits, or says that it is not certain that this was done.
    pub(super) async fn commit(
        &self,
        claim: &Claim,
        record: &Bytes,
        effects: Effects,
    ) -> Completion {
        let slot = match self.open.get(claim) {
            Known::Offered(slot) => slot,
            Known::Busy(changes) => {
                let _ = runtime::timeout(self.deadline, changed(changes)).await;
                return self.committed(claim).await;
            }
            Known::Nothing => return self.committed(claim).await,
        };
        let unfinished = match slot.withdraw() {
            Ok(unfinished) => unfinished,
            Err(Missing::Over) => return self.committed(claim).await,
            Err(Missing::Taken) => {
                events::undone(
                    claim.name(),
                    "the handler has answered and kept its transaction: drop it before",
                );
                return Completion::Undone;
            }
        };
        let committing = self.commit_once(unfinished, claim, record, effects);
        match self.within_deadline(committing).await {
            Ok(()) => Completion::Kept,
            Err(failure) => {
                let reason = match failure.kind {
                    FailureKind::NotOurs => {
                        "the handler ended the transaction by itself, or another record is there"
                    }
                    FailureKind::Failed => {
                        "a statement of the handler failed, and its answer keeps the rest"
                    }
                    _ => "the commit failed, or its answer is lost",
                };
                events::undone(claim.name(), format_args!("{reason}: {failure}"));
                Completion::Undone
            }
        }
    }

    async fn commit_once(
        &self,
        mut unfinished: Unfinished,
        claim: &Claim,
        record: &Bytes,
        effects: Effects,
    ) -> Result<(), Failure> {
        let owner = Hex(claim.owner().as_bytes()).to_string();
        let message = Self::message(claim.name());
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
            Binary(record),
            Int(millis(claim.ttl())),
            Text(&owner),
            Int(self.table.waiters_lock(claim.name())),
            Text(&self.channel),
            Text(&message),
        ];
        let undo = (effects == Effects::Undo).then_some(UNDO);
        let session = unfinished.session();
        session.commit(undo, &self.statements.keep, &params).await?;
        unfinished.finish();
        Ok(())
    }

    /// Finds out what became of a transaction that has ended.
    async fn committed(&self, claim: &Claim) -> Completion {
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
        ];
        let found = self.query(&self.statements.find_owner, &params).await;
        match found
            .as_deref()
            .map(|rows| rows.first().map(|row| row.bool(0)))
        {
            Ok(Some(Ok(true))) => Completion::Kept,
            Ok(Some(Ok(false))) => Completion::Superseded,
            _ => Completion::Undone,
        }
    }

    /// Rolls back what a handler wrote.
    pub(super) async fn roll_back(&self, claim: &Claim) -> Result<(), Failure> {
        let slot = match self.open.get(claim) {
            Known::Offered(slot) => slot,
            Known::Busy(changes) => {
                let _ = runtime::timeout(self.deadline, changed(changes)).await;
                return Ok(());
            }
            Known::Nothing => return Ok(()),
        };
        // What the handler has kept is rolled back when it drops that.
        let Ok(mut unfinished) = slot.withdraw() else {
            return Ok(());
        };
        self.within_deadline(async {
            unfinished.session().roll_back().await?;
            let message = Self::message(claim.name());
            let params = [
                Int(self.table.waiters_lock(claim.name())),
                Text(&self.channel),
                Text(&message),
            ];
            unfinished
                .session()
                .query(&self.statements.wake, &params)
                .await?;
            unfinished.finish();
            Ok(())
        })
        .await
    }
}

/// Reads what else is kept under the name: something that stands in the way, or what an attempt
/// before left to count on from.
fn standing(row: &Row, acquired: &mut Acquired) -> Result<Option<Claimed>, Failure> {
    Ok(Some(match row.text(0)? {
        "completed" => Claimed::Completed(row.bytes(5)?),
        "held" => held(row)?,
        "unknown" => unknown(row)?,
        _ => {
            *acquired = Acquired::new(row.count(1)?, row.count(2)?);
            acquired.effect_committed = row.bool(4)?;
            return Ok(None);
        }
    }))
}

/// Answers a claim that was made before.
fn resent(slot: Arc<dyn AnySlot>) -> Claimed {
    let mut acquired = Acquired::new(1, 1);
    acquired.extensions = slot.extensions();
    Claimed::Acquired(acquired)
}

/// Waits until a transaction was handed over, or has ended.
async fn changed(mut changes: watch::Receiver<()>) {
    let _ = changes.changed().await;
}
