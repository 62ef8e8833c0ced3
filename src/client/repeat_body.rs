/// A request body that may be sent again.
///
/// Every body that is `Clone` may: `Full`, `Empty`, `String` and the like share their bytes, so
/// that a clone counts a reference and copies nothing. A body that streams from elsewhere is
/// wrapped by [`BufferLayer`](super::BufferLayer), or sent once.
///
/// **A clone must begin at the beginning.** A stream whose clones share one position, such as a
/// `StreamBody` of a channel's receiver, would be sent again without what was read from it before: wrap
/// it with [`BufferedBody::once`](super::BufferedBody::once), or buffer it.
///
/// Implement it for a body that can be made anew though it is not `Clone`.
pub trait RepeatBody: Sized {
    /// Returns the whole body from its beginning, or `None` if it can be sent only once.
    fn repeat(&self) -> Option<Self>;
}

impl<B: Clone> RepeatBody for B {
    fn repeat(&self) -> Option<Self> {
        Some(self.clone())
    }
}
