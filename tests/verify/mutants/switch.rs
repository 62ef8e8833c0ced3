// What the copy of the crate gets as a module of its own: which of its mutants is alive in this process.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// The one that `MUTANT` names.
static ALIVE: LazyLock<Option<usize>> = LazyLock::new(|| env::var("MUTANT").ok()?.parse().ok());

/// Where the file that `MUTANTS_REACHED` names is told of each mutant that is come by.
static REACHED: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = env::var_os("MUTANTS_REACHED")?;
    OpenOptions::new().append(true).create(true).open(path).ok()
});
static TOLD: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

pub(crate) fn on(mutant: usize) -> bool {
    if let Some(mut reached) = REACHED.as_ref() {
        if !TOLD[mutant].swap(true, Ordering::Relaxed) {
            // In one piece: a child of the test writes to it too.
            let _ = reached.write_all(format!("{mutant}\n").as_bytes());
        }
    }
    *ALIVE == Some(mutant)
}
