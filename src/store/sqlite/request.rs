use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    begin::begin,
    clock,
    decision::Decision,
    failure::Failure,
    gate::{self, Gate},
    places::Place,
    queue::Queue,
    row::Row,
    table::Table,
    transaction::{Command, Inner, SqliteTransaction},
};
use crate::{
    events,
    fingerprint::Fingerprint,
    outcome::{Effects, UnknownOutcome},
    store::{Acquired, Claim, Claimed, Completion},
};

/// A claim that waits for the writer, to have it for a transaction.
pub(super) struct Request {
    pub(super) claim: Claim,
    pub(super) fingerprint: Fingerprint,
    pub(super) unknown_outcome: UnknownOutcome,
    pub(super) until: Instant,
    /// Where it stands in this process: who else claims the name finds it held.
    pub(super) place: Place,
    pub(super) reply: oneshot::Sender<Result<Claimed, Failure>>,
}

/// How an open transaction ends, and who is told.
enum End {
    Complete(Bytes, Effects, oneshot::Sender<Completion>),
    RollBack(Option<oneshot::Sender<()>>),
}

/// How often is looked, once a lease has passed, whether somebody else waits.
const LAPSED: Duration = Duration::from_millis(50);

/// What the handler wrote comes after this.
const SAVEPOINT: &str = "SAVEPOINT tower_idempotency";

impl Request {
    /// Opens the transaction, has the handler use it, and ends it.
    ///
    /// A transaction that nobody renewed in time goes on until somebody else waits for the writer,
    /// or in another process for the lock.
    pub(super) fn serve(
        self,
        gate: &Gate,
        queue: &mut Queue,
        table: Table<'_>,
        mut is_wanted: impl FnMut() -> bool,
    ) {
        if self.is_over() {
            return;
        }
        let (open, answer) = match self.open(queue, table) {
            Ok((open, answer)) => (open, Ok(answer)),
            Err(failure) => (None, Err(failure)),
        };
        let Self {
            claim,
            place,
            reply,
            ..
        } = self;
        let Some((inner, commands)) = open else {
            gate::roll_back(table.connection);
            drop(place);
            // Whoever is gone is not told; no more here than below.
            let _ = reply.send(answer);
            return;
        };
        place.open(&inner);
        // Who is told keeps the transaction open from now on.
        let inner = {
            let weak = Arc::downgrade(&inner);
            drop(inner);
            weak
        };
        // If nobody is, it is dropped here and now.
        drop(reply.send(answer));
        gate.shut();
        let left = || match inner.upgrade().map(|inner| inner.left()) {
            Some(Duration::ZERO) if !is_wanted() && !queue.is_wanted() => LAPSED,
            left => left.unwrap_or_default(),
        };
        let end = attend(table.connection, &commands, left);
        gate.open();
        // Whoever asked twice is told once the channel is gone, and finds the place free.
        let leave = || drop((place, commands));
        match end {
            End::Complete(record, effects, told) => {
                let completed = complete(table, &claim, &record, effects);
                if let Err(failure) = &completed {
                    gate::roll_back(table.connection);
                    events::undone(claim.name(), failure);
                }
                leave();
                let _ = told.send(completed.map_or(Completion::Undone, |()| Completion::Kept));
            }
            End::RollBack(told) => {
                gate::roll_back(table.connection);
                leave();
                if let Some(told) = told {
                    let _ = told.send(());
                }
            }
        }
    }

    /// Says whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.reply.is_closed() || Instant::now() >= self.until
    }

    #[allow(clippy::type_complexity, reason = "both halves of one channel")]
    fn open(
        &self,
        queue: &mut Queue,
        table: Table<'_>,
    ) -> Result<(Option<(Arc<Inner>, Receiver<Command>)>, Claimed), Failure> {
        begin(table.connection, queue, self.until)?;
        let now = clock::now();
        let row = Row::read(table.connection, self.claim.name(), now)?;
        let decision = Decision::on(
            row,
            &self.claim,
            &self.fingerprint,
            self.unknown_outcome,
            now,
        )?;
        let acquired = match decision {
            Decision::New => {
                table.check_bound()?;
                Acquired::new(1, 1)
            }
            Decision::Resent(acquired) | Decision::TakeOver(acquired) => acquired,
            Decision::Answer(claimed) | Decision::Shorten(claimed, _) => {
                return Ok((None, claimed));
            }
        };
        table.connection.execute_batch(SAVEPOINT)?;
        let (commands, receiver) = mpsc::channel();
        let transaction = SqliteTransaction::new(&self.claim, &acquired, commands);
        let inner = Arc::clone(transaction.inner());
        let acquired = transaction.acquired();
        Ok((Some((inner, receiver)), Claimed::Acquired(acquired)))
    }
}

/// Runs what the handler sends, until the transaction is to end.
fn attend(
    connection: &Connection,
    commands: &Receiver<Command>,
    mut left: impl FnMut() -> Duration,
) -> End {
    loop {
        match commands.recv_timeout(left()) {
            Ok(Command::Run(run)) => run(connection),
            Ok(Command::Complete(record, effects, told)) => {
                return End::Complete(record, effects, told);
            }
            Ok(Command::RollBack(told)) => return End::RollBack(Some(told)),
            Err(RecvTimeoutError::Timeout) if !left().is_zero() => {}
            // Nobody renewed it in time, or nobody has it any more.
            Err(_) => return End::RollBack(None),
        }
    }
}

fn complete(
    table: Table<'_>,
    claim: &Claim,
    record: &[u8],
    effects: Effects,
) -> Result<(), Failure> {
    let connection = table.connection;
    if effects == Effects::Undo {
        connection.execute_batch("ROLLBACK TO tower_idempotency")?;
    }
    // There is no such savepoint where the handler ended the transaction.
    connection.execute_batch("RELEASE tower_idempotency")?;
    table.record(claim, record, clock::now())?;
    gate::commit(connection)
}
