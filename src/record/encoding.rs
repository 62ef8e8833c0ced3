//! How header fields, lengths and bytes are written down: a length is LEB128, and stands before what
//! it is the length of.

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::InvalidRecord;

fn kept(
    fields: Option<&HeaderMap>,
    keep: impl Fn(&HeaderName) -> bool,
) -> impl Iterator<Item = [&[u8]; 2]> {
    let fields = fields.into_iter().flatten();
    let kept = fields.filter(move |(name, _)| keep(name));
    kept.map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
}

/// Returns how long the encoding of the fields that are kept is.
pub(super) fn fields_len(fields: Option<&HeaderMap>, keep: impl Fn(&HeaderName) -> bool) -> usize {
    let (mut count, mut len) = (0, 0);
    for field in kept(fields, keep) {
        count += 1;
        len += field
            .iter()
            .map(|part| length_len(part.len()) + part.len())
            .sum::<usize>();
    }
    length_len(count) + len
}

pub(super) fn put_fields(
    out: &mut Vec<u8>,
    fields: Option<&HeaderMap>,
    keep: impl Fn(&HeaderName) -> bool,
) {
    put_length(out, kept(fields, &keep).count());
    for part in kept(fields, &keep).flatten() {
        put_length(out, part.len());
        out.put_slice(part);
    }
}

pub(super) fn get_fields(encoded: &mut Bytes) -> Result<Option<HeaderMap>, InvalidRecord> {
    let count = get_length(encoded)?;
    if count == 0 {
        return Ok(None);
    }
    // A field takes two bytes at least: a wrong count must not reserve memory for itself.
    // Some room is left for the fields that a replay is marked with.
    let capacity = count.min(encoded.len() / 2) + 3;
    let mut fields = HeaderMap::try_with_capacity(capacity).map_err(damaged)?;
    for _ in 0..count {
        let name = HeaderName::from_bytes(&get_bytes(encoded)?).map_err(damaged)?;
        let value = HeaderValue::from_maybe_shared(get_bytes(encoded)?).map_err(damaged)?;
        fields.try_append(name, value).map_err(damaged)?;
    }
    Ok(Some(fields))
}

/// Returns how long the encoding of a length is.
pub(super) fn length_len(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

pub(super) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits");
        length >>= 7;
        if length == 0 {
            return out.put_u8(low);
        }
        out.put_u8(low | 0x80);
    }
}

pub(super) fn get_length(encoded: &mut Bytes) -> Result<usize, InvalidRecord> {
    let mut length = 0;
    for shift in (0..32).step_by(7) {
        let byte = encoded.try_get_u8().map_err(damaged)?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    Err(InvalidRecord::Damaged)
}

fn get_bytes(encoded: &mut Bytes) -> Result<Bytes, InvalidRecord> {
    let length = get_length(encoded)?;
    if length > encoded.len() {
        return Err(InvalidRecord::Damaged);
    }
    Ok(encoded.split_to(length))
}

pub(super) fn get_array<const N: usize>(encoded: &mut Bytes) -> Result<[u8; N], InvalidRecord> {
    let mut array = [0; N];
    encoded.try_copy_to_slice(&mut array).map_err(damaged)?;
    Ok(array)
}

pub(super) fn damaged<E>(_: E) -> InvalidRecord {
    InvalidRecord::Damaged
}
