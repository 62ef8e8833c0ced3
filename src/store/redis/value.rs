//! What stands in a value and in an answer; `prelude.lua` has the layout.

use bytes::Bytes;

use super::foreign::Foreign;
use crate::{
    Fingerprint,
    store::{Acquired, OwnerToken},
};

/// How much of a value comes before what its state decides: version, state and owner.
pub(super) const HEAD: usize = 2 + OwnerToken::LEN;

/// Returns the record that stands in the value of a completed key. Whose it is, it says itself.
pub(super) fn record(value: &Bytes) -> Result<Bytes, Foreign> {
    if value.len() < HEAD || !value.starts_with(b"\x01C") {
        return Err(Foreign::Value);
    }
    Ok(value.slice(HEAD..))
}

/// Reads a fence and an attempt.
pub(super) fn acquired(payload: &[u8]) -> Result<Acquired, Foreign> {
    let (fence, attempt) = payload.split_first_chunk().ok_or(Foreign::Answer)?;
    let attempt = attempt.try_into().map_err(|_| Foreign::Answer)?;
    Ok(Acquired::new(
        u64::from_be_bytes(*fence),
        u32::from_be_bytes(attempt),
    ))
}

/// Reads the milliseconds that are left to an owner, and its fingerprint.
pub(super) fn held(payload: &[u8]) -> Result<(u64, Fingerprint), Foreign> {
    let (left, theirs) = payload.split_first_chunk().ok_or(Foreign::Answer)?;
    Ok((u64::from_be_bytes(*left), fingerprint(theirs)?))
}

pub(super) fn fingerprint(payload: &[u8]) -> Result<Fingerprint, Foreign> {
    let bytes = payload.try_into().map_err(|_| Foreign::Answer)?;
    Ok(Fingerprint::from_bytes(bytes))
}

/// Tells one owner's claim from every other state of a key: none, if nobody works under it.
pub(super) fn owner(value: &[u8]) -> Option<OwnerToken> {
    let owner = value.strip_prefix(b"\x01P")?;
    Some(OwnerToken::from_bytes(*owner.first_chunk()?))
}
