//! Claims that are committed before the handler runs.

use std::time::Instant;

use bytes::Bytes;

use super::{Shared, clock, failure::Failure, table::Table, task::Pending, writer::Order};
use crate::{
    fingerprint::Fingerprint,
    guard::Guard,
    outcome::UnknownOutcome,
    store::{Claim, Claimed, Completion, Renewal},
};

impl Shared {
    pub(super) async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        if let Some(claimed) = self.look(claim).await? {
            return Ok(claimed);
        }
        let (of, theirs) = (*claim, *fingerprint);
        let write = move |table: Table<'_>| table.claim(&of, &theirs, unknown_outcome);
        let mut claimed = self.write(write).await?;
        if let Claimed::Acquired(acquired) = &mut claimed {
            acquired.guard = Some(Guard::new(self.guard.clone(), claim, acquired.fence));
        }
        Ok(claimed)
    }

    pub(super) async fn renew(&self, claim: &Claim) -> Result<Renewal, Failure> {
        let claim = *claim;
        self.write(move |table| table.renew(&claim)).await
    }

    pub(super) async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
    ) -> Result<Completion, Failure> {
        let of = *claim;
        let completion = self
            .write(move |table| table.complete(&of, &record))
            .await?;
        self.wakeups.wake(claim.name());
        Ok(completion)
    }

    pub(super) async fn release(&self, claim: &Claim) -> Result<(), Failure> {
        let of = *claim;
        self.write(move |table| table.release(&of)).await?;
        self.wakeups.wake(claim.name());
        Ok(())
    }

    pub(super) async fn abandon(&self, claim: &Claim) -> Result<(), Failure> {
        let of = *claim;
        self.write(move |table| table.abandon(&of)).await?;
        self.wakeups.wake(claim.name());
        Ok(())
    }

    /// Answers a claim by what is there already, without the writer. That nothing is there
    /// decides nothing: only the writer claims.
    pub(super) async fn look(&self, claim: &Claim) -> Result<Option<Claimed>, Failure> {
        match self.readers.look(claim.name()).await {
            Ok(Some(row)) => row.answer(claim, clock::now()),
            Ok(None) => Ok(None),
            // Somebody recovers the log, or closes it: the writer waits for that.
            Err(failure) if failure.is_busy() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Has the writer do something, and waits until it is committed.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Fn(Table<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (task, answer) = Pending::new(work, Instant::now() + self.deadline);
        self.orders
            .send(Order::Write(Box::new(task)))
            .map_err(|_| Failure::Gone)?;
        answer.await.map_err(|_| Failure::Late)?
    }
}
