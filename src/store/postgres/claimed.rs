//! Claims that are committed first: every operation is one statement.

use std::time::Duration;

use bytes::Bytes;

use super::{
    Failure,
    core::Core,
    driver::Param::{Bool, Bytes as Binary, Int, Text},
    row::Row,
};
use crate::{
    fingerprint::Fingerprint,
    guard::Guard,
    hex::Hex,
    outcome::UnknownOutcome,
    runtime,
    store::{Acquired, Claim, Claimed, Completion, Renewal},
};

/// How often a claim is tried again whose key another statement changed meanwhile, or has locked.
const TRIES: u32 = 7;
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

impl Core {
    pub(super) async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        self.within_deadline(self.try_claim(claim, fingerprint, unknown_outcome))
            .await
    }

    async fn try_claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, Failure> {
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
            Binary(fingerprint.as_bytes()),
            Int(millis(claim.lease())),
            Int(millis(claim.ttl())),
            Bool(unknown_outcome == UnknownOutcome::Retry),
        ];
        // A replay is worth a statement of its own: a claim that is acquired costs a commit anyway.
        let found = self.query(&self.statements.look, &params[..1]).await?;
        let found = found.first().map(|row| row.bytes_or_null(0)).transpose()?;
        if let Some(record) = found.flatten() {
            return Ok(Claimed::Completed(record));
        }
        let mut pause = SHORTEST_PAUSE;
        for _ in 0..TRIES {
            let rows = self.query(&self.statements.claim, &params).await?;
            if let Some(claimed) = self.claimed(claim, rows.first())? {
                return Ok(claimed);
            }
            // Whoever changes the key is done once that is on disk.
            runtime::sleep(pause).await;
            pause *= 2;
        }
        // The transaction of a guard has the key, or others take it over one after another.
        Ok(Claimed::Held {
            fingerprint: None,
            left: None,
        })
    }

    fn claimed(&self, claim: &Claim, row: Option<&Row>) -> Result<Option<Claimed>, Failure> {
        let Some(row) = row else { return Ok(None) };
        Ok(Some(match row.text(0)? {
            "acquired" => {
                let fence = row.count(1)?;
                let mut acquired = Acquired::new(fence, row.count(2)?);
                acquired.guard = Some(Guard::new(self.statements.guard.clone(), claim, fence));
                acquired.effect_committed = row.bool(4)?;
                Claimed::Acquired(acquired)
            }
            "held" => held(row)?,
            "unknown" => unknown(row)?,
            "completed" => Claimed::Completed(row.bytes(5)?),
            _ => return Ok(None),
        }))
    }

    pub(super) async fn renew(&self, claim: &Claim) -> Result<Renewal, Failure> {
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
            Int(millis(claim.lease())),
            Int(millis(claim.ttl())),
        ];
        let renewed = self.query(&self.statements.renew, &params).await?;
        Ok(if renewed.is_empty() {
            Renewal::Lost
        } else {
            Renewal::Renewed
        })
    }

    pub(super) async fn complete(
        &self,
        claim: &Claim,
        record: &Bytes,
    ) -> Result<Completion, Failure> {
        let message = Self::message(claim.name());
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
            Binary(record),
            Int(millis(claim.ttl())),
            Int(self.table.waiters_lock(claim.name())),
            Text(&self.channel),
            Text(&message),
        ];
        self.within_deadline(async {
            loop {
                let rows = self.query(&self.statements.complete, &params).await?;
                let row = rows.first().ok_or_else(Failure::foreign)?;
                match row.text(0)? {
                    "kept" => {
                        self.waiters.wake(claim.name());
                        return Ok(Completion::Kept);
                    }
                    "superseded" => return Ok(Completion::Superseded),
                    "again" => {}
                    _ => return Err(Failure::foreign()),
                }
            }
        })
        .await
    }

    /// Releases in two statements of one transaction: what the first waits for, the second sees.
    pub(super) async fn release(&self, claim: &Claim) -> Result<(), Failure> {
        let bytes = |bytes| format!("decode('{}', 'hex')", Hex(bytes));
        let script = include_str!("release.sql")
            .replace("{name}", &bytes(claim.name().as_bytes()))
            .replace("{owner}", &bytes(claim.owner().as_bytes()))
            .replace("{lock}", &self.table.waiters_lock(claim.name()).to_string())
            .replace("{channel}", &format!("'{}'", self.channel))
            .replace("{message}", &format!("'{}'", Self::message(claim.name())));
        self.repeat_script(&self.table.fill(&script)).await?;
        self.waiters.wake(claim.name());
        Ok(())
    }

    pub(super) async fn abandon(&self, claim: &Claim) -> Result<(), Failure> {
        let message = Self::message(claim.name());
        let params = [
            Binary(claim.name().as_bytes()),
            Binary(claim.owner().as_bytes()),
            Int(self.table.waiters_lock(claim.name())),
            Text(&self.channel),
            Text(&message),
        ];
        self.query(&self.statements.abandon, &params).await?;
        self.waiters.wake(claim.name());
        Ok(())
    }
}

/// Reads a row about another owner, whose lease is live.
pub(super) fn held(row: &Row) -> Result<Claimed, Failure> {
    Ok(Claimed::Held {
        fingerprint: Some(fingerprint(row)?),
        left: Some(Duration::from_millis(row.count(3)?)),
    })
}

/// Reads a row about another owner, whose outcome is unknown.
pub(super) fn unknown(row: &Row) -> Result<Claimed, Failure> {
    Ok(Claimed::Unknown {
        fingerprint: fingerprint(row)?,
        effect_committed: row.bool(4)?,
    })
}

fn fingerprint(row: &Row) -> Result<Fingerprint, Failure> {
    let bytes = row.bytes(5)?;
    let bytes = bytes[..].try_into().map_err(|_| Failure::foreign())?;
    Ok(Fingerprint::from_bytes(bytes))
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
