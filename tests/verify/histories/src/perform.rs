//! Operations of the table, on a real store.

use std::time::Duration;

use bytes::Bytes;
use table::{Answer, Operation, Owner, Request};
use tower_idempotency::{
    Effects, Fingerprint, RecordName, Store, UnknownOutcome,
    store::{Claim, Claimed, Completion, OwnerToken, Renewal, StoreError},
};

/// A key whose claims have leases of one length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: RecordName,
    pub(crate) lease: Duration,
}

impl Key {
    const TTL: Duration = Duration::from_secs(600);

    fn claim(&self, owner: Owner) -> Claim {
        let mut token = [owner; OwnerToken::LEN];
        token[0] ^= 0x5a;
        Claim::new(
            self.name,
            OwnerToken::from_bytes(token),
            self.lease,
            Self::TTL,
        )
    }

    /// Does an operation, and tells what was answered in the table's terms.
    pub(crate) async fn perform(
        &self,
        store: &dyn Store,
        operation: Operation,
    ) -> Result<Answer, StoreError> {
        let claim = self.claim(operation.owner().expect("time is nobody's to pass"));
        Ok(match operation {
            Operation::Claim { request, retry, .. } => {
                let policy = if retry {
                    UnknownOutcome::Retry
                } else {
                    UnknownOutcome::Refuse
                };
                match store.claim(&claim, &fingerprint(request), policy).await? {
                    Claimed::Acquired(acquired) => Answer::Acquired {
                        fence: u8::try_from(acquired.fence).expect("a small fence"),
                        attempt: u8::try_from(acquired.attempt).expect("a small attempt"),
                    },
                    Claimed::Held { fingerprint, .. } => {
                        Answer::Held(request_of(&fingerprint.expect("the store knows it")))
                    }
                    Claimed::Unknown { fingerprint, .. } => {
                        Answer::Unknown(request_of(&fingerprint))
                    }
                    Claimed::Completed(record) => Answer::Completed(number_of(&record)),
                }
            }
            Operation::Renew(_) => match store.renew(&claim).await? {
                Renewal::Renewed => Answer::Renewed,
                Renewal::Lost => Answer::Lost,
            },
            Operation::Complete(_, number) => {
                match store
                    .complete(&claim, record(number), Effects::Keep)
                    .await?
                {
                    Completion::Kept => Answer::Kept,
                    Completion::Superseded => Answer::Superseded,
                    Completion::Undone => unreachable!("the store is not transactional"),
                }
            }
            Operation::Release(_) => {
                store.release(&claim).await?;
                Answer::Done
            }
            Operation::Abandon(_) => {
                store.abandon(&claim).await?;
                Answer::Done
            }
            Operation::Lapse => unreachable!("time is nobody's to pass"),
        })
    }
}

fn fingerprint(request: Request) -> Fingerprint {
    Fingerprint::from_bytes([request; Fingerprint::LEN])
}

fn request_of(fingerprint: &Fingerprint) -> Request {
    fingerprint.as_bytes()[0]
}

/// Makes a record, no text, whose every byte tells whether it is whole.
fn record(number: u16) -> Bytes {
    let [high, low] = number.to_be_bytes();
    [high, low, 0xff]
        .repeat(1 + usize::from(number % 97))
        .into()
}

/// Reads a record back: the largest number stands for one that is damaged.
fn number_of(bytes: &Bytes) -> u16 {
    let number = bytes
        .first_chunk()
        .map_or(u16::MAX, |first| u16::from_be_bytes(*first));
    if record(number) == *bytes {
        number
    } else {
        u16::MAX
    }
}
