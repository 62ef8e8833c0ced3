use std::{error::Error, fmt, str::FromStr};

use crate::hex::{self, Hex};

/// A place in a listing: where the next page begins.
///
/// What its bytes mean is for the store to say that made it. Written out, they are 64 hexadecimal
/// digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cursor([u8; Self::LEN]);

impl Cursor {
    /// The length of a cursor in bytes.
    pub const LEN: usize = 32;

    /// Returns the cursor that these bytes are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the cursor.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(digits: &str) -> Result<Self, InvalidCursor> {
        hex::read(digits).map(Self).ok_or(InvalidCursor)
    }
}

/// Text that is no [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCursor;

impl fmt::Display for InvalidCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cursor is 64 hexadecimal digits, as the page before has them")
    }
}

impl Error for InvalidCursor {}
