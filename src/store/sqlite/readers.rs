use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::{clock, failure::Failure, file::File, open_error::OpenError, row::Row};
use crate::record_name::RecordName;

/// The threads that read. A reader sees what was committed when it looks, and waits neither for
/// the writer nor for the disk that the writer waits for.
#[derive(Debug)]
pub(super) struct Readers {
    looks: Vec<Sender<Look>>,
    next: AtomicUsize,
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
            let connection = file.open_reader()?;
            let (sender, receiver) = mpsc::channel();
            thread::Builder::new()
                .name("idempotency-read".into())
                .spawn(move || serve(&connection, &receiver))
                .map_err(OpenError::io)?;
            looks.push(sender);
        }
        Ok(Self {
            looks,
            next: AtomicUsize::new(0),
        })
    }

    /// Returns what is kept under a name, as it was at some moment since the call.
    pub(super) async fn look(&self, name: &RecordName) -> Result<Option<Row>, Failure> {
        let (reply, answer) = oneshot::channel();
        let thread = self.next.fetch_add(1, Ordering::Relaxed) % self.looks.len();
        let look = Look { name: *name, reply };
        self.looks[thread].send(look).map_err(|_| Failure::Gone)?;
        answer.await.map_err(|_| Failure::Gone)?
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
