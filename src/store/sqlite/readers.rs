use std::{
    sync::{
        Mutex,
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
    looks: Vec<Sender<Look>>,
    next: AtomicUsize,
    haste: Haste,
}

struct Look {
    name: RecordName,
    reply: oneshot::Sender<Result<Option<Row>, Failure>>,
}

/// How many looks share a snapshot at most.
const AT_ONCE: usize = 64;

/// How many threads there are at most: each look takes microseconds.
const THREADS: usize = 4;

impl Readers {
    pub(super) fn open(file: &File) -> Result<Self, OpenError> {
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS));
        let mut looks = Vec::new();
        for _ in 0..threads {
            #[allow(unused_mut, reason = "rusqlite before 0.43 does not need it")]
            let mut connection = file.open_reader()?;
            connection.busy_handler(Some(wait_while_busy))?;
            let (sender, receiver) = mpsc::channel();
            thread::Builder::new()
                .name("idempotency-read".into())
                .spawn(move || serve(&connection, &receiver))
                .map_err(OpenError::io)?;
            looks.push(sender);
        }
        let here = file.open_reader()?;
        here.busy_timeout(Duration::ZERO)?;
        Ok(Self {
            here: Mutex::new(here),
            looks,
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
        let thread = self.next.fetch_add(1, Ordering::Relaxed) % self.looks.len();
        let look = Look { name: *name, reply };
        self.looks[thread].send(look).map_err(|_| Failure::Gone)?;
        answer.await.map_err(|_| Failure::Gone)?
    }

    /// Reads on the caller's own thread, unless it might have to wait.
    fn look_here(&self, name: &RecordName) -> Option<Result<Option<Row>, Failure>> {
        if !self.haste.is_fast() {
            return None;
        }
        let connection = self.here.try_lock().ok()?;
        let began = Instant::now();
        let seen = Row::read(&connection, name, clock::now());
        self.haste.note(began);
        match seen {
            Err(failure) if failure.is_busy() => None,
            seen => Some(seen),
        }
    }
}

fn serve(connection: &Connection, looks: &Receiver<Look>) {
    while let Ok(first) = looks.recv() {
        let mut all = vec![first];
        all.extend(looks.try_iter().take(AT_ONCE - 1));
        all.retain(|look| !look.reply.is_closed());
        if all.len() > 1 {
            // One snapshot for all, taken after the last of them asked. Without it, each look has
            // its own.
            let _ = connection.execute_batch("BEGIN");
        }
        for look in all {
            let seen = Row::read(connection, &look.name, clock::now());
            // Whoever is gone is not told.
            let _ = look.reply.send(seen);
        }
        if !connection.is_autocommit() {
            let _ = connection.execute_batch("COMMIT");
        }
    }
}
