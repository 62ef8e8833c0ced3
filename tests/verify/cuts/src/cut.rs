use std::{
    io::{self, BufRead},
    process, thread,
};

use tokio::sync::Semaphore;

use crate::point::Point;

/// Stops a request at a point, the first time one gets there, and says so on standard output. It goes
/// on when standard input says so, if the process lives that long.
#[derive(Debug)]
pub(crate) struct Cut {
    at: Option<Point>,
    first: Semaphore,
    go: Semaphore,
}

impl Cut {
    /// Also ends the process with whoever started it.
    pub(crate) fn at(at: Option<Point>) -> &'static Self {
        let cut: &Self = Box::leak(Box::new(Self {
            at,
            first: Semaphore::new(1),
            go: Semaphore::new(0),
        }));
        thread::spawn(|| {
            for _ in io::stdin().lock().lines() {
                cut.go.add_permits(1);
            }
            process::exit(0);
        });
        cut
    }

    pub(crate) async fn reach(&self, point: Point) {
        if self.at != Some(point) {
            return;
        }
        let Ok(first) = self.first.try_acquire() else {
            return;
        };
        first.forget();
        println!("reached");
        let go = self.go.acquire().await;
        go.expect("nobody closes it").forget();
    }
}
