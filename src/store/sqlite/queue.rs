use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fs4::{FileExt, TryLockError};

/// The queue of all who want to write to one database, in whichever process.
///
/// SQLite has none: its lock goes to whoever asks at the right moment, which is mostly the one that
/// had it last. So whoever wants it locks a file beside the database first, and frees that once it
/// has SQLite's lock. One at a time asks SQLite then, and all others stand behind it, where the
/// system lets them in about as they came. One that dies leaves the queue at that moment.
///
/// What it decides is the order, and nothing else: whoever stands there for too long, behind one
/// that is stopped, say, goes without, and so does everybody where the file cannot be locked.
#[derive(Debug)]
pub(super) struct Queue {
    path: PathBuf,
    file: Option<Arc<File>>,
    standing: Option<JoinHandle<()>>,
}

impl Queue {
    /// Returns the queue of the database in a file.
    pub(super) fn beside(database: &Path) -> Self {
        let mut path = OsString::from(database);
        path.push("-queue");
        let path = PathBuf::from(path);
        Self {
            file: open(&path).ok().map(Arc::new),
            path,
            standing: None,
        }
    }

    /// Says whether somebody else stands in it.
    pub(super) fn is_wanted(&self) -> bool {
        let Some(file) = &self.file else {
            return false;
        };
        match Turn::at_once(file) {
            Ok(turn) => {
                drop(turn);
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        }
    }

    /// Waits for a turn, for half of the time there is at most: the other half is for SQLite's
    /// lock itself.
    pub(super) fn turn(&mut self, until: Instant) -> Option<Turn> {
        let file = self.file.as_ref()?;
        match Turn::at_once(file) {
            Ok(turn) => Some(turn),
            Err(TryLockError::WouldBlock) => {
                self.stand(until.saturating_duration_since(Instant::now()) / 2)
            }
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// Has a thread stand in the queue, since that cannot be given up.
    fn stand(&mut self, patience: Duration) -> Option<Turn> {
        if self.standing.as_ref().is_some_and(|at| !at.is_finished()) {
            // The one before it has not moved since somebody gave up.
            return None;
        }
        // A turn that nobody takes any more ends where it is sent.
        let (give, turn) = mpsc::sync_channel(0);
        let path = self.path.clone();
        self.standing = thread::Builder::new()
            .name("idempotency-queue".into())
            .spawn(move || stand(&path, &give))
            .ok();
        turn.recv_timeout(patience).ok()
    }
}

fn stand(path: &Path, give: &SyncSender<Turn>) {
    // A file of its own: the system asks for each that was opened whether it has the lock.
    let Ok(file) = open(path) else {
        return;
    };
    if FileExt::lock(&file).is_ok() {
        let _ = give.send(Turn(Arc::new(file)));
    }
}

/// Opens the file; one that is somebody else's can be locked all the same.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).or_else(|_| File::open(path))
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<File>);

impl Turn {
    /// Takes a turn if nobody else has one.
    fn at_once(file: &Arc<File>) -> Result<Self, TryLockError> {
        FileExt::try_lock(&**file)?;
        Ok(Self(Arc::clone(file)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // What cannot be freed now is freed when the file is closed.
        let _ = FileExt::unlock(&*self.0);
    }
}
