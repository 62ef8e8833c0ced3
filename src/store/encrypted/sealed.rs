//! A record under encryption:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version of this layout: 1 |
//! | 4 | id of the key, big-endian |
//! | 24 | nonce |
//! | | the record, encrypted |
//! | 16 | tag; it covers the version, the id of the key and the record name too |

use std::{error::Error, fmt};

use bytes::Bytes;
use chacha20poly1305::{AeadInOut, Tag, XNonce};

use super::KeyRing;
use crate::{record_name::RecordName, runtime};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4;
const NONCE: usize = 24;
const TAG: usize = 16;

/// Encrypts a record for a name.
pub(super) fn seal(keys: &KeyRing, name: &RecordName, record: &[u8]) -> Bytes {
    let (id, cipher) = keys.current();
    let nonce: [u8; NONCE] = runtime::random();
    let mut sealed = Vec::with_capacity(HEADER + NONCE + record.len() + TAG);
    sealed.push(VERSION);
    sealed.extend_from_slice(&id.to_be_bytes());
    let context = context(&sealed, name);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(record);
    let plain = &mut sealed[HEADER + NONCE..];
    let tag = cipher
        .encrypt_inout_detached(&XNonce::from(nonce), &context, plain.into())
        .expect("a record is shorter than the 256 GiB that the cipher takes");
    sealed.extend_from_slice(&tag);
    sealed.into()
}

/// The parts of an encrypted record.
pub(super) struct Sealed<'a> {
    header: &'a [u8],
    id: u32,
    nonce: XNonce,
    encrypted: &'a [u8],
    tag: Tag,
}

impl<'a> Sealed<'a> {
    pub(super) fn parse(sealed: &'a [u8]) -> Result<Self, OpenError> {
        let (header, rest) = sealed.split_first_chunk::<HEADER>().ok_or(OpenError::Cut)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(OpenError::Cut)?;
        let (encrypted, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::Cut)?;
        let &[VERSION, a, b, c, d] = header else {
            return Err(OpenError::Version(header[0]));
        };
        Ok(Self {
            header,
            id: u32::from_be_bytes([a, b, c, d]),
            nonce: (*nonce).into(),
            encrypted,
            tag: (*tag).into(),
        })
    }

    /// Decrypts the record, if it is this name's.
    pub(super) fn open(self, keys: &KeyRing, name: &RecordName) -> Result<Bytes, OpenError> {
        let cipher = keys.get(self.id).ok_or(OpenError::Key(self.id))?;
        let mut record = self.encrypted.to_vec();
        cipher
            .decrypt_inout_detached(
                &self.nonce,
                &context(self.header, name),
                record.as_mut_slice().into(),
                &self.tag,
            )
            .map_err(|_| OpenError::Forged(self.id))?;
        Ok(record.into())
    }
}

/// What is authenticated beside the record.
fn context(header: &[u8], name: &RecordName) -> [u8; HEADER + RecordName::LEN] {
    let mut context = [0; HEADER + RecordName::LEN];
    context[..HEADER].copy_from_slice(header);
    context[HEADER..].copy_from_slice(name.as_bytes());
    context
}

/// Why a record cannot be decrypted.
#[derive(Debug)]
pub(super) enum OpenError {
    Cut,
    Version(u8),
    Key(u32),
    Forged(u32),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the record is too short to be an encrypted one"),
            Self::Version(version) => write!(
                f,
                "the record was not encrypted, or in version {version} of the layout, which is unknown here"
            ),
            Self::Key(id) => write!(
                f,
                "the record was encrypted with the key {id}, which is not in the key ring"
            ),
            Self::Forged(id) => write!(
                f,
                "the record was changed, belongs to another name, or was encrypted with another key of the id {id}"
            ),
        }
    }
}

impl Error for OpenError {}
