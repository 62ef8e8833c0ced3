//! A clock that stands still until the test turns it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{Race2, Winner2};

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static NEXT: Cell<usize> = const { Cell::new(0) };
    static SLEEPING: RefCell<BTreeMap<(Duration, usize), Waker>> = const { RefCell::new(BTreeMap::new()) };
}

/// Forgets all time.
pub fn start() {
    NOW.set(Duration::from_secs(1_000_000));
    SLEEPING.take();
}

/// Turns the clock to the next moment that somebody waits for; false where nobody does.
pub fn turn() -> bool {
    turn_until(Instant(Duration::MAX))
}

/// Turns the clock to the next moment that somebody waits for, if that comes before `end`.
pub fn turn_until(end: Instant) -> bool {
    let next = SLEEPING.with_borrow(|sleeping| Some(sleeping.first_key_value()?.0.0));
    if next.is_none_or(|next| next >= end.0) {
        return false;
    }
    let Some(((moment, _), waker)) = SLEEPING.with_borrow_mut(BTreeMap::pop_first) else {
        return false;
    };
    NOW.set(NOW.get().max(moment));
    waker.wake();
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    pub fn now() -> Self {
        Self(NOW.get())
    }

    pub fn elapsed(&self) -> Duration {
        Self::now() - *self
    }
}

impl ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

impl ops::Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0 - duration)
    }
}

impl ops::Sub for Instant {
    type Output = Duration;

    fn sub(self, other: Self) -> Duration {
        self.0.saturating_sub(other.0)
    }
}

#[derive(Debug)]
pub struct Sleep {
    until: Duration,
    place: usize,
}

pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

pub fn sleep_until(moment: Instant) -> Sleep {
    let place = NEXT.get();
    NEXT.set(place + 1);
    Sleep {
        until: moment.0,
        place,
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if NOW.get() >= self.until {
            return Poll::Ready(());
        }
        let place = (self.until, self.place);
        SLEEPING.with_borrow_mut(|sleeping| sleeping.insert(place, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Gone with the thread, where that ends first.
        let _ =
            SLEEPING.try_with(|sleeping| sleeping.borrow_mut().remove(&(self.until, self.place)));
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Elapsed;

pub async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now() + limit, future).await
}

pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let future = pin!(future);
    match Race2(Box::pin(future), Box::pin(sleep_until(deadline))).await {
        Winner2::A(output) => Ok(output),
        Winner2::B(()) => Err(Elapsed),
    }
}
