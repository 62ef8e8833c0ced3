/// A request body that may be sent again.
///
/// Every body that is `Clone` may: `Full`, `Empty`, `String` and the like share their bytes, so
/// that a clone counts a reference and copies nothing. A body that streams from elsewhere is
/// wrapped by [`BufferLayer`](super::BufferLayer), or sent once.
///
/// Implement it for a body that can be made anew though it is not `Clone`.
pub trait RepeatBody: Sized {
    /// Whether [`repeat`](Self::repeat) would return a body.
    fn is_repeatable(&self) -> bool;

    /// Returns the whole body from its beginning, or `None` if it can be sent only once.
    fn repeat(&self) -> Option<Self>;
}

impl<B: Clone> RepeatBody for B {
    fn is_repeatable(&self) -> bool {
        true
    }

    fn repeat(&self) -> Option<Self> {
        Some(self.clone())
    }
}
