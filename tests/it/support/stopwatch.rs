use std::{
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(2);
/// The most that counts of a tick that came late.
const LONGEST: Duration = Duration::from_millis(20);

/// Measures how long something took, less what the machine stood still meanwhile: a shared one does
/// for half a second now and then.
pub(crate) struct Stopwatch {
    start: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { start: awake() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        awake().saturating_sub(self.start)
    }
}

/// How long this process has been awake since this was first asked.
fn awake() -> Duration {
    static NANOSECONDS: AtomicU64 = AtomicU64::new(0);
    static TICKING: Once = Once::new();
    TICKING.call_once(|| {
        thread::spawn(|| {
            loop {
                let start = Instant::now();
                thread::sleep(TICK);
                let took = start.elapsed().min(LONGEST).as_nanos();
                NANOSECONDS.fetch_add(took.try_into().expect("at most 20 ms"), Ordering::Relaxed);
            }
        });
    });
    Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed))
}
