//! Digests as people read them.

use std::fmt;

/// Writes two digits for each byte.
pub(crate) struct Hex<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Reads two digits for each byte, and nothing else.
pub(crate) fn read<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let is_whole = digits.len() == N * 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !is_whole {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[index * 2..][..2], 16).ok()?;
    }
    Some(bytes)
}
