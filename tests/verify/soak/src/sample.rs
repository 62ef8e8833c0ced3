use std::{fmt, fs};

/// What the process has at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// In KiB.
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
            "{} MiB, {} tasks, {} threads, {} descriptors, {} keys",
            self.resident / 1024,
            self.tasks,
            self.threads,
            self.descriptors,
            self.keys
        )
    }
}
