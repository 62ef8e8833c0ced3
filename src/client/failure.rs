use std::{error::Error, io, iter};

use h2::Reason;
use http::StatusCode;

use super::{CallError, read_answer::BrokenAnswer};

/// Says what is known about a request that did not get the answer it should have.
///
/// | class | what | sent again |
/// |---|---|---|
/// | not processed | no connection, 425, HTTP/2 `REFUSED_STREAM` | whatever the method |
/// | ambiguous | timeout, reset, cut-off answer, 408, 429, 500, 502, 503, 504, `grpc-status` 14 | idempotent methods and keyed requests |
/// | under way | 409 to a keyed request, with `Retry-After` | until the deadline |
/// | permanent | every other 4xx and 5xx, and errors that another attempt cannot mend | never |
///
/// An error that is not recognised is ambiguous: that is the safe reading, since the request may
/// have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The server never began on the request.
    NotProcessed,
    /// The request may have been carried out, or not.
    Ambiguous,
    /// An earlier attempt under the same key is still being carried out.
    UnderWay,
    /// Another attempt would fail in the same way.
    Permanent,
}

impl Failure {
    /// Classifies a status by itself; a 409 depends on more and is permanent here.
    pub(super) fn of_status(status: StatusCode) -> Option<Self> {
        match status.as_u16() {
            425 => Some(Self::NotProcessed),
            408 | 429 | 500 | 502 | 503 | 504 => Some(Self::Ambiguous),
            400..=599 => Some(Self::Permanent),
            _ => None,
        }
    }

    /// Classifies an error by everything in its chain of sources.
    ///
    /// What is known of a whole call, or of an answer that began, goes before what one connection
    /// says further in.
    pub(super) fn of_error(error: &(dyn Error + 'static)) -> Self {
        if let Some(known) = sources(error).find_map(known) {
            known
        } else if sources(error).any(is_hopeless) {
            Self::Permanent
        } else if was_never_sent(error) {
            Self::NotProcessed
        } else {
            Self::Ambiguous
        }
    }
}

fn known(error: &(dyn Error + 'static)) -> Option<Failure> {
    if error.is::<BrokenAnswer>() {
        return Some(Failure::Ambiguous);
    }
    error.downcast_ref().map(CallError::failure)
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error: &&'a (dyn Error + 'static)| {
        let io = error.downcast_ref::<io::Error>();
        io.and_then(inside).or_else(|| error.source())
    })
}

/// Whether the client refused the request itself: it would refuse it again.
fn is_hopeless(error: &(dyn Error + 'static)) -> bool {
    #[cfg(feature = "reqwest-012")]
    if super::reqwest::is_hopeless_012(error) {
        return true;
    }
    #[cfg(feature = "reqwest-013")]
    if super::reqwest::is_hopeless_013(error) {
        return true;
    }
    // Of hyper-util's errors only those about the request have no source: no authority in the URI,
    // a method or version that it does not speak.
    error
        .downcast_ref::<hyper_util::client::legacy::Error>()
        .is_some_and(|error| error.source().is_none() && !error.is_connect())
}

/// `GOAWAY` is not here: its error does not tell a stream above the last one from one below it.
fn was_never_sent(error: &(dyn Error + 'static)) -> bool {
    // What is refused beyond a connection is another one: that which a request's body reads from.
    let mut connected = false;
    for error in sources(error) {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            if error.is_connect() {
                return true;
            }
            connected = true;
        } else if let Some(error) = error.downcast_ref::<h2::Error>() {
            if error.is_reset()
                && error.is_remote()
                && error.reason() == Some(Reason::REFUSED_STREAM)
            {
                return true;
            }
            connected = true;
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            if !connected && error.kind() == io::ErrorKind::ConnectionRefused {
                return true;
            }
        }
    }
    false
}

/// What an `io::Error` wraps, which its `source` passes over.
fn inside(error: &io::Error) -> Option<&(dyn Error + 'static)> {
    error.get_ref().map(|inner| inner as &(dyn Error + 'static))
}
