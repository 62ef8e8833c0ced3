use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use shuttle::sync::atomic::{AtomicUsize, Ordering};

/// Wakes all who wait. Whoever waits does so from the making of its future on, as with tokio's.
#[derive(Default)]
pub struct Notify(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// How often all were woken. Looking at it lets others go first.
    rounds: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
}

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn notified(&self) -> Notified<'_> {
        Notified(self.owned(), PhantomData)
    }

    #[allow(clippy::needless_pass_by_value, reason = "as tokio has it")]
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        self.owned()
    }

    pub fn notify_waiters(&self) {
        self.0.rounds.fetch_add(1, Ordering::SeqCst);
        let wakers = std::mem::take(&mut *self.0.wakers.lock().expect("never poisoned"));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes one of those who wait; none is remembered for later.
    pub fn notify_one(&self) {
        let waker = self.0.wakers.lock().expect("never poisoned").pop();
        waker.into_iter().for_each(Waker::wake);
    }

    fn owned(&self) -> OwnedNotified {
        OwnedNotified {
            notify: Arc::clone(&self.0),
            since: self.0.rounds.load(Ordering::SeqCst),
        }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notify")
    }
}

pub struct OwnedNotified {
    notify: Arc<Inner>,
    since: usize,
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut wakers = self.notify.wakers.lock().expect("never poisoned");
        wakers.push(cx.waker().clone());
        drop(wakers);
        if self.notify.rounds.load(Ordering::SeqCst) == self.since {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

impl fmt::Debug for OwnedNotified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnedNotified")
    }
}

#[derive(Debug)]
pub struct Notified<'a>(OwnedNotified, PhantomData<&'a ()>);

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}
