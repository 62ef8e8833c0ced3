mod encoding;

use std::{error::Error, fmt};

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderName, StatusCode, response};

use self::encoding::{
    damaged, fields_len, get_array, get_fields, get_length, length_len, put_fields, put_length,
};
use crate::{body::Buffered, fingerprint::Fingerprint, record_name::RecordName};

/// A recorded response: what a store keeps, and what a replay is made of.
///
/// # Encoding, version 1
///
/// ```text
/// version    1 byte, 1
/// kind       1 byte: 0 whole, 1 body omitted
/// name       32 bytes, the record's own name
/// fingerprint 49 bytes
/// status     2 bytes, big endian
/// headers    count, then name and value of each, in order
/// trailers   count, then name and value of each, in order
/// body       length, then the bytes
/// checksum   4 bytes, CRC-32 of all before it, big endian
/// ```
///
/// Counts and lengths are LEB128. The encoding is the same for every store, so records can be moved
/// from one to another. A record that is of another version, of another name, cut short or changed
/// is refused, never replayed.
///
/// `Debug` shows the status and how much there is of the rest, which is the client's alone.
#[derive(Clone)]
pub struct Record {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RecordedBody,
}

/// What a record holds of the body.
#[derive(Clone)]
pub(crate) enum RecordedBody {
    Whole(Buffered),
    Omitted,
}

const VERSION: u8 = 1;
const WHOLE: u8 = 0;
const OMITTED: u8 = 1;
const CHECKSUM_LEN: usize = 4;
const HEAD_LEN: usize = 2 + RecordName::LEN + Fingerprint::LEN + 2;

impl Record {
    /// Makes a record of a whole response, for tools that write records.
    #[must_use]
    pub fn whole(
        fingerprint: Fingerprint,
        head: &response::Parts,
        body: Bytes,
        trailers: Option<HeaderMap>,
    ) -> Self {
        let body = RecordedBody::Whole(Buffered::new(body, trailers));
        Self::new(fingerprint, head, body)
    }

    /// Makes a record of a response whose body is not kept.
    #[must_use]
    pub fn omitted(fingerprint: Fingerprint, head: &response::Parts) -> Self {
        Self::new(fingerprint, head, RecordedBody::Omitted)
    }

    fn new(fingerprint: Fingerprint, head: &response::Parts, body: RecordedBody) -> Self {
        Self {
            fingerprint,
            status: head.status,
            headers: head.headers.clone(),
            body,
        }
    }

    /// Returns the fingerprint of the request that was answered.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Returns the status of the response.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers of the response.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body of the response, or `None` if it was not kept.
    #[must_use]
    pub fn body(&self) -> Option<Bytes> {
        match &self.body {
            RecordedBody::Whole(body) => Some(body.to_bytes()),
            RecordedBody::Omitted => None,
        }
    }

    /// Returns the trailers of the response, if it had any and its body was kept.
    #[must_use]
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match &self.body {
            RecordedBody::Whole(body) => body.trailers(),
            RecordedBody::Omitted => None,
        }
    }

    /// Writes the record down under its name.
    #[must_use]
    pub fn encode(&self, name: &RecordName) -> Bytes {
        let body = match &self.body {
            RecordedBody::Whole(body) => Some(body),
            RecordedBody::Omitted => None,
        };
        encode(
            name,
            &self.fingerprint,
            self.status,
            &self.headers,
            |_| true,
            |_| true,
            body,
        )
    }

    /// Returns the name in a record, if it begins like this: for stores that keep no more of it
    /// beside the record.
    pub(crate) fn name_in(encoded: &[u8], beginning: &[u8]) -> Option<RecordName> {
        let (version, rest) = encoded.split_first()?;
        let name = rest.get(1..)?.first_chunk::<{ RecordName::LEN }>()?;
        let is_its = *version == VERSION && name.starts_with(beginning);
        is_its.then(|| RecordName::from_bytes(*name))
    }

    /// Reads a record back, and checks that it is whole and stands under this name.
    ///
    /// The body and the header values share the memory of `encoded`.
    ///
    /// # Errors
    ///
    /// [`InvalidRecord`] says what is wrong with the bytes.
    pub fn decode(name: &RecordName, mut encoded: Bytes) -> Result<Self, InvalidRecord> {
        match encoded.first() {
            Some(&VERSION) => {}
            Some(_) => return Err(InvalidRecord::Version),
            None => return Err(InvalidRecord::Damaged),
        }
        if encoded.len() < HEAD_LEN + CHECKSUM_LEN {
            return Err(InvalidRecord::Damaged);
        }
        let checksum = encoded.split_off(encoded.len() - CHECKSUM_LEN).get_u32();
        if crc32fast::hash(&encoded) != checksum {
            return Err(InvalidRecord::Damaged);
        }
        encoded.advance(1);
        let kind = encoded.get_u8();
        if get_array(&mut encoded)? != *name.as_bytes() {
            return Err(InvalidRecord::Foreign);
        }
        let fingerprint = Fingerprint::from_bytes(get_array(&mut encoded)?);
        let status = StatusCode::from_u16(encoded.get_u16()).map_err(damaged)?;
        let headers = get_fields(&mut encoded)?.unwrap_or_default();
        let trailers = get_fields(&mut encoded)?;
        let body_len = get_length(&mut encoded)?;
        if encoded.len() != body_len {
            return Err(InvalidRecord::Damaged);
        }
        let body = match kind {
            WHOLE => RecordedBody::Whole(Buffered::new(encoded, trailers)),
            OMITTED if body_len == 0 && trailers.is_none() => RecordedBody::Omitted,
            _ => return Err(InvalidRecord::Damaged),
        };
        Ok(Self {
            fingerprint,
            status,
            headers,
            body,
        })
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = match &self.body {
            RecordedBody::Whole(body) => Some(body.len()),
            RecordedBody::Omitted => None,
        };
        f.debug_struct("Record")
            .field("fingerprint", &self.fingerprint)
            .field("status", &self.status)
            .field("headers", &self.headers.len())
            .field("body", &body)
            .finish()
    }
}

/// Writes a record down with the headers and the trailers that are kept; `body` is `None` where it is
/// omitted.
pub(crate) fn encode(
    name: &RecordName,
    fingerprint: &Fingerprint,
    status: StatusCode,
    headers: &HeaderMap,
    keep: impl Fn(&HeaderName) -> bool,
    keep_trailer: impl Fn(&HeaderName) -> bool,
    body: Option<&Buffered>,
) -> Bytes {
    let kind = if body.is_some() { WHOLE } else { OMITTED };
    let none = Buffered::default();
    let body = body.unwrap_or(&none);
    let trailers = body.trailers();
    let len = HEAD_LEN
        + fields_len(Some(headers), &keep)
        + fields_len(trailers, &keep_trailer)
        + length_len(body.len())
        + body.len()
        + CHECKSUM_LEN;
    // To the byte: of a vector with room left, `Bytes` would keep the room, and allocate to do so.
    let mut out = Vec::with_capacity(len);
    out.put_slice(&[VERSION, kind]);
    out.put_slice(name.as_bytes());
    out.put_slice(fingerprint.as_bytes());
    out.put_u16(status.as_u16());
    put_fields(&mut out, Some(headers), &keep);
    put_fields(&mut out, trailers, &keep_trailer);
    put_length(&mut out, body.len());
    body.chunks().for_each(|chunk| out.put_slice(chunk));
    let checksum = crc32fast::hash(&out);
    out.put_u32(checksum);
    debug_assert_eq!(out.len(), len, "the length of a record was miscounted");
    out.into()
}

/// Says why bytes are not a [`Record`] that may be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The record was written by a version of this crate that this one does not know.
    Version,
    /// The record stands under a name that is not its own.
    Foreign,
    /// The record is cut short or changed.
    Damaged,
}

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the record has a version that is not known here",
            Self::Foreign => "the record belongs to another name",
            Self::Damaged => "the record is cut short or changed",
        })
    }
}

impl Error for InvalidRecord {}
