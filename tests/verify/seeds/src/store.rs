//! A store on a host of its own, and the servers' way to it.

use std::{io, time::Duration};

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes};
use fastrand::Rng;
use tokio::time::{sleep, timeout};
use tower_idempotency::{
    Effects, Fingerprint, MemoryStore, Record, RecordName, Store, UnknownOutcome,
    store::{
        Acquired, Changed, Claim, Claimed, Completion, OwnerToken, Renewal, StoreError,
        StoreErrorKind,
    },
};
use turmoil::net::{TcpListener, TcpStream};

use crate::{ledger::Ledger, wire};

const PORT: u16 = 6379;

const CLAIM: u8 = 0;
const RENEW: u8 = 1;
const COMPLETE: u8 = 2;
const RELEASE: u8 = 3;
const ABANDON: u8 = 4;

/// Serves a memory store whose clock runs at a pace of its own.
pub(crate) async fn serve(ledger: Ledger, seed: u64, pace: f64) -> turmoil::Result {
    let store = MemoryStore::new();
    let mut rng = Rng::with_seed(seed);
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (store, ledger) = (store.clone(), ledger.clone());
        let (before, after) = (rng.u64(..10), rng.u64(..10));
        tokio::spawn(async move {
            let request = wire::read(&mut stream).await?;
            sleep(Duration::from_millis(before)).await;
            let answer = apply(&store, &ledger, request, pace).await;
            sleep(Duration::from_millis(after)).await;
            wire::write(&mut stream, &answer).await
        });
    }
}

async fn apply(store: &MemoryStore, ledger: &Ledger, mut request: Bytes, pace: f64) -> Vec<u8> {
    let operation = request.get_u8();
    let name = RecordName::from_bytes(take(&mut request));
    let owner = OwnerToken::from_bytes(take(&mut request));
    let lease = Duration::from_millis(request.get_u64()).mul_f64(pace);
    let claim = Claim::new(name, owner, lease, Duration::from_millis(request.get_u64()));
    let mut answer = Vec::new();
    match operation {
        CLAIM => {
            let fingerprint = Fingerprint::from_bytes(take(&mut request));
            let policy = if request.get_u8() == 0 {
                UnknownOutcome::Retry
            } else {
                UnknownOutcome::Refuse
            };
            match store
                .claim(&claim, &fingerprint, policy)
                .await
                .expect("room")
            {
                Claimed::Acquired(acquired) => {
                    answer.put_u8(0);
                    answer.put_u64(acquired.fence);
                    answer.put_u32(acquired.attempt);
                }
                Claimed::Held { fingerprint, left } => {
                    answer.put_u8(1);
                    answer.put_slice(fingerprint.expect("known").as_bytes());
                    let left = u64::try_from(left.expect("known").as_millis());
                    answer.put_u64(left.expect("a short lease"));
                }
                Claimed::Unknown { fingerprint, .. } => {
                    answer.put_u8(2);
                    answer.put_slice(fingerprint.as_bytes());
                }
                Claimed::Completed(record) => {
                    answer.put_u8(3);
                    answer.put_slice(&record);
                }
            }
        }
        RENEW => {
            let renewal = store.renew(&claim).await.expect("an answer");
            answer.put_u8(u8::from(renewal == Renewal::Lost));
        }
        COMPLETE => {
            let record = request.split_off(0);
            let decoded = Record::decode(&name, record.clone()).expect("a whole record");
            let body = decoded.body().expect("a short body");
            let completion = store.complete(&claim, record, Effects::Keep).await;
            let completion = completion.expect("an answer");
            if completion == Completion::Kept {
                let body = std::str::from_utf8(&body).expect("text");
                let key = body.split(' ').next().and_then(|key| key.parse().ok());
                ledger.book().records(key.expect("a key"), body);
            }
            answer.put_u8(u8::from(completion == Completion::Superseded));
        }
        RELEASE => store.release(&claim).await.expect("an answer"),
        ABANDON => store.abandon(&claim).await.expect("an answer"),
        _ => unreachable!("an operation"),
    }
    answer
}

/// What is wrong with a store on purpose, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// A renewal says that it renewed, and did not ask.
    RenewsInVain,
    /// A claim whose answer does not come is taken for acquired.
    ClaimsUnasked,
    /// An abandoned claim is released.
    ReleasesTheUnknown,
}

/// The store, as a server reaches it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) Fault);

impl Remote {
    async fn ask(self, operation: u8, claim: &Claim, more: &[u8]) -> Result<Bytes, StoreError> {
        let mut request = vec![operation];
        request.put_slice(claim.name().as_bytes());
        request.put_slice(claim.owner().as_bytes());
        request.put_u64(u64::try_from(claim.lease().as_millis()).expect("short"));
        request.put_u64(u64::try_from(claim.ttl().as_millis()).expect("short"));
        request.put_slice(more);
        let exchange = async {
            let mut stream = TcpStream::connect(("store", PORT)).await?;
            wire::write(&mut stream, &request).await?;
            wire::read(&mut stream).await
        };
        let answer: io::Result<_> = timeout(Duration::from_millis(400), exchange)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        answer.map_err(|error| StoreError::new(StoreErrorKind::Unavailable, error))
    }
}

#[async_trait]
impl Store for Remote {
    async fn claim(
        &self,
        claim: &Claim,
        fingerprint: &Fingerprint,
        unknown_outcome: UnknownOutcome,
    ) -> Result<Claimed, StoreError> {
        let mut more = fingerprint.as_bytes().to_vec();
        more.put_u8(u8::from(unknown_outcome == UnknownOutcome::Refuse));
        let mut answer = match self.ask(CLAIM, claim, &more).await {
            Err(_) if self.0 == Fault::ClaimsUnasked => {
                return Ok(Claimed::Acquired(Acquired::new(1, 1)));
            }
            answer => answer?,
        };
        Ok(match answer.get_u8() {
            0 => Claimed::Acquired(Acquired::new(answer.get_u64(), answer.get_u32())),
            1 => Claimed::Held {
                fingerprint: Some(Fingerprint::from_bytes(take(&mut answer))),
                left: Some(Duration::from_millis(answer.get_u64())),
            },
            2 => Claimed::Unknown {
                fingerprint: Fingerprint::from_bytes(take(&mut answer)),
                effect_committed: false,
            },
            _ => Claimed::Completed(answer),
        })
    }

    async fn renew(&self, claim: &Claim) -> Result<Renewal, StoreError> {
        if self.0 == Fault::RenewsInVain {
            return Ok(Renewal::Renewed);
        }
        let answer = self.ask(RENEW, claim, &[]).await?;
        Ok(if answer[0] == 0 {
            Renewal::Renewed
        } else {
            Renewal::Lost
        })
    }

    async fn complete(
        &self,
        claim: &Claim,
        record: Bytes,
        _effects: Effects,
    ) -> Result<Completion, StoreError> {
        let answer = self.ask(COMPLETE, claim, &record).await?;
        Ok(if answer[0] == 0 {
            Completion::Kept
        } else {
            Completion::Superseded
        })
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.ask(RELEASE, claim, &[]).await.map(drop)
    }

    async fn abandon(&self, claim: &Claim) -> Result<(), StoreError> {
        let operation = if self.0 == Fault::ReleasesTheUnknown {
            RELEASE
        } else {
            ABANDON
        };
        self.ask(operation, claim, &[]).await.map(drop)
    }

    fn changed(&self, _: &RecordName) -> Changed {
        Box::pin(sleep(Duration::from_millis(100)))
    }
}

fn take<const N: usize>(bytes: &mut Bytes) -> [u8; N] {
    let mut array = [0; N];
    bytes.copy_to_slice(&mut array);
    array
}
