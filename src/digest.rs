//! One way to digest what identifies a request.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};

/// Makes digests: SHA-256, or HMAC-SHA-256 where the user gave a secret.
///
/// Every field is prefixed with its length, so that no two lists of fields digest the same bytes.
#[derive(Clone)]
pub(crate) enum Digester {
    Plain,
    Keyed(Box<Hmac<Sha256>>),
}

impl Digester {
    pub(crate) fn keyed(secret: &[u8]) -> Self {
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
        Self::Keyed(Box::new(mac))
    }

    /// Starts a digest; the purpose keeps digests of one kind from ever equalling another's.
    pub(crate) fn start(&self, purpose: Purpose) -> Digest {
        let mut digest = Digest {
            state: match self {
                Self::Plain => State::Plain(Sha256::new()),
                Self::Keyed(mac) => State::Keyed(mac.clone()),
            },
            staged: [0; STAGE],
            len: 0,
        };
        digest.bytes(&[VERSION, purpose as u8]);
        digest
    }
}

impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "Sha256",
            Self::Keyed(_) => "HmacSha256([redacted])",
        })
    }
}

/// The version of every digest's layout: a change here makes old records unreachable.
const VERSION: u8 = 1;

/// What a digest is made for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    RecordName = 1,
    Credentials = 2,
    Request = 3,
    DownstreamKey = 4,
}

/// A digest under way.
///
/// Short fields are put side by side first: the hash takes few long pieces much faster than many
/// short ones.
pub(crate) struct Digest {
    state: State,
    staged: [u8; STAGE],
    len: usize,
}

const STAGE: usize = 256;

enum State {
    Plain(Sha256),
    Keyed(Box<Hmac<Sha256>>),
}

impl Digest {
    /// Adds one field, prefixed with its length.
    pub(crate) fn field(&mut self, field: &[u8]) {
        self.length(field.len());
        self.bytes(field);
    }

    /// Adds the number of fields, or of bytes, that follow.
    pub(crate) fn length(&mut self, length: usize) {
        self.bytes(&(length as u64).to_be_bytes());
    }

    /// Adds bytes whose length was added before.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        if bytes.len() > STAGE - self.len {
            self.flush();
        }
        if bytes.len() > STAGE {
            self.state.update(bytes);
        } else {
            self.staged[self.len..self.len + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn flush(&mut self) {
        self.state.update(&self.staged[..self.len]);
        self.len = 0;
    }

    pub(crate) fn finish(mut self) -> [u8; 32] {
        self.flush();
        match self.state {
            State::Plain(sha) => sha.finalize().into(),
            State::Keyed(mac) => mac.finalize().into_bytes().into(),
        }
    }
}

impl State {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(sha) => sha.update(bytes),
            Self::Keyed(mac) => mac.update(bytes),
        }
    }
}
