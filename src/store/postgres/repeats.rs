use std::time::Duration;

use super::failure::Failure;
use crate::runtime;

/// How an operation is tried again because the pooled connection had died, or because other
/// transactions were in the way.
pub(super) struct Repeats {
    made: u32,
    pause: Duration,
}

const AT_MOST: u32 = 31;
/// Which is what most that may be repeated need. Whoever needs more would only open connection
/// after connection, where a server lets everybody in and answers nobody.
const AT_ONCE: u32 = 3;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl Repeats {
    pub(super) fn new() -> Self {
        Self {
            made: 0,
            pause: SHORTEST_PAUSE,
        }
    }

    /// Waits until the operation that failed so is to be tried again; or gives the failure back, if
    /// it is not.
    pub(super) async fn after(&mut self, failure: Failure) -> Result<(), Failure> {
        if !failure.may_be_repeated() || self.made == AT_MOST {
            return Err(failure);
        }
        self.made += 1;
        if self.made > AT_ONCE {
            runtime::sleep(runtime::jittered(self.pause)).await;
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        Ok(())
    }
}
