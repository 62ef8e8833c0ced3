use std::{alloc::System, fmt, fs};

use cap::Cap;

/// Counts what is allocated: what leaks shows here, whatever the allocator keeps for later.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What the process has at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In KiB: what is allocated now, and what the process has of the machine's memory.
    pub(crate) heap: u64,
    pub(crate) resident: u64,
    pub(crate) tasks: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    /// In all stores.
    pub(crate) keys: u64,
}

impl Sample {
    pub(crate) fn take(keys: u64) -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next());
            number.and_then(|it| it.parse().ok()).expect("a number")
        };
        let tasks = tokio::runtime::Handle::current().metrics();
        let descriptors = fs::read_dir("/proc/self/fd").expect("Linux").count();
        Self {
            heap: HEAP.allocated() as u64 / 1024,
            resident: field("VmRSS:"),
            tasks: tasks.num_alive_tasks() as u64,
            threads: field("Threads:"),
            descriptors: descriptors as u64,
            keys,
        }
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} MiB of heap, {} MiB resident, {} tasks, {} threads, {} descriptors, {} keys",
            self.heap / 1024,
            self.resident / 1024,
            self.tasks,
            self.threads,
            self.descriptors,
            self.keys
        )
    }
}
