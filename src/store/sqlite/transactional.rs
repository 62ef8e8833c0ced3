//! Claims that are open transactions.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Shared, failure::Failure, places::Entered, request::Request, row::State, transaction::Command,
    writer::Order,
};
use crate::{
    fingerprint::Fingerprint,
    outcome::{Effects, UnknownOutcome},
    store::{Claim, Claimed, Completion, Renewal},
};

impl Shared {
    pub(super) async fn claim_transaction(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        if let Some(claimed) = self.look(claim).await? {
            return Ok(claimed);
        }
        let place = match self.places.enter(claim, fingerprint) {
            Entered::Queue(place) => place,
            Entered::Open(transaction) => return Ok(Claimed::Acquired(transaction.acquired())),
            Entered::Held(theirs) => {
                return Ok(Claimed::Held {
                    fingerprint: Some(theirs),
                    left: None,
                });
            }
        };
        let (reply, answer) = oneshot::channel();
        let request = Request {
            claim: *claim,
            fingerprint: *fingerprint,
            unknown_outcome,
            until: Instant::now() + self.deadline,
            place,
            reply,
        };
        self.orders
            .send(Order::Transact(Box::new(request)))
            .map_err(|_| Failure::Gone)?;
        answer.await.map_err(|_| Failure::Late)?
    }

    pub(super) fn renew_transaction(&self, claim: &Claim) -> Renewal {
        let Some(transaction) = self.places.transaction(claim) else {
            return Renewal::Lost;
        };
        transaction.renew(claim.lease());
        Renewal::Renewed
    }

    /// Commits, or says that it is not certain that this was done.
    pub(super) async fn complete_transaction(
        &self,
        claim: &Claim,
        record: Bytes,
        effects: Effects,
    ) -> Completion {
        if let Some(transaction) = self.places.transaction(claim) {
            let (told, completed) = oneshot::channel();
            // Nothing is sent to a transaction that has ended meanwhile.
            let _ = transaction.send(Command::Complete(record, effects, told));
            if let Ok(completion) = completed.await {
                return completion;
            }
        }
        match self.readers.look(claim.name()).await {
            Ok(Some(row)) if !matches!(row.state, State::Completed(_)) => Completion::Undone,
            Ok(Some(row)) if row.owner == *claim.owner() => Completion::Kept,
            Ok(Some(_)) => Completion::Superseded,
            Ok(None) | Err(_) => Completion::Undone,
        }
    }

    pub(super) async fn roll_back_transaction(&self, claim: &Claim) -> Result<(), Failure> {
        if let Some(transaction) = self.places.transaction(claim) {
            let (told, done) = oneshot::channel();
            let _ = transaction.send(Command::RollBack(told));
            // One that has ended meanwhile tells nobody.
            let _ = done.await;
        }
        Ok(())
    }
}
