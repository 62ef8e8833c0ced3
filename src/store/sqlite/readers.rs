use std::{
    hint,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{
    begin::wait_while_busy, clock, failure::Failure, file::File, haste::Haste,
    open_error::OpenError, row::Row,
};
use crate::record_name::RecordName;

/// Those who read: each sees what was committed when it looks, and waits neither for the writer nor
/// for the disk that the writer waits for.
///
/// The caller reads by itself as long as that is fast, one caller at a time: should the disk hang,
/// it has one thread of the runtime at most. All others have a few threads read for them.
#[derive(Debug)]
pub(super) struct Readers {
    // Closed before the threads close theirs: whoever closes the last connection has the log
    // written to the file.
    here: Mutex<Connection>,
    asked: Vec<Sender<Asked>>,
    next: AtomicUsize,
    haste: Haste,
}

/// What a reader is asked for.
enum Asked {
    Look(Look),
    /// Something that nobody waits for but an operator.
    Read(Box<dyn FnOnce(&Connection) + Send>),
}

struct Look {
    name: RecordName,
    reply: oneshot::Sender<Result<Option<Row>, Failure>>,
}

/// How many looks share a snapshot at most.
const AT_ONCE: usize = 64;

/// How often a caller asks for the connection: as long as it takes to have a thread read.
const TRIES: usize = 200;

/// How many threads there are at most: each look takes microseconds.
const THREADS: usize = 4;

impl Readers {
    pub(super) fn open(file: &File) -> Result<Self, OpenError> {
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
        let mut asked = Vec::new();
        for _ in 0..threads {
            #[allow(unused_mut, reason = "rusqlite before 0.43 does not need it")]
            let mut connection = file.open_reader()?;
            connection.busy_handler(Some(wait_while_busy))?;
            let (sender, receiver) = mpsc::channel();
            thread::Builder::new()
                .name("idempotency-read".into())
                .spawn(move || serve(&connection, &receiver))
                .map_err(OpenError::io)?;
            asked.push(sender);
        }
        let here = file.open_reader()?;
        here.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            here: Mutex::new(here),
            asked,
            next: AtomicUsize::new(0),
            haste: Haste::new(),
        })
    }

    /// Returns what is kept under a name, as it was at some moment since the call.
    pub(super) async fn look(&self, name: &RecordName) -> Result<Option<Row>, Failure> {
        if let Some(seen) = self.look_here(name) {
            return seen;
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Asked::Look(Look { name: *name, reply }))?;
        answer.await.map_err(|_| Failure::Gone)?
    }

    /// Returns what something reads that does not take long.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        self.ask(Asked::Read(Box::new(move |connection| {
            // Whoever is gone is not told.
            let _ = reply.send(read(connection));
        })))?;
        answer.await.map_err(|_| Failure::Gone)?
    }

    fn ask(&self, asked: Asked) -> Result<(), Failure> {
        let thread = self.next.fetch_add(1, Ordering::Relaxed) % self.asked.len();
        self.asked[thread].send(asked).map_err(|_| Failure::Gone)
    }

    /// Takes the connection for callers, which who else has it mostly gives back in microseconds.
    fn take_here(&self) -> Option<MutexGuard<'_, Connection>> {
        for _ in 0..TRIES {
            if let Ok(connection) = self.here.try_lock() {
                return Some(connection);
            }
            hint::spin_loop();
        }
        None
    }

    /// Reads on the caller's own thread, unless it might have to wait.
    fn look_here(&self, name: &RecordName) -> Option<Result<Option<Row>, Failure>> {
        if !self.haste.is_fast() {
            return None;
        }
        let connection = self.take_here()?;
        let began = Instant::now();
        let seen = Row::read(&connection, name, clock::now());
        self.haste.note(began);
        match seen {
            Err(failure) if failure.is_busy() => None,
            seen => Some(seen),
        }
    }
}

fn serve(connection: &Connection, asked: &Receiver<Asked>) {
    while let Ok(first) = asked.recv() {
        let mut all = vec![first];
        all.extend(asked.try_iter().take(AT_ONCE - 1));
        all.retain(|asked| !asked.is_over());
        if all.len() > 1 {
            // One snapshot for all, taken after the last of them asked. Without it, each look has
            // its own.
            let _ = connection.execute_batch("BEGIN");
        }
        for asked in all {
            match asked {
                Asked::Look(look) => {
                    let seen = Row::read(connection, &look.name, clock::now());
                    // Whoever is gone is not told.
                    let _ = look.reply.send(seen);
                }
                Asked::Read(read) => read(connection),
            }
        }
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("COMMIT");
        }
    }
}

impl Asked {
    /// Says whether nobody waits for it any more, as far as that is known.
    fn is_over(&self) -> bool {
        matches!(self, Self::Look(look) if look.reply.is_closed())
    }
}
