use bytes::Bytes;
use http::Response;

use crate::flags::Flags;

/// Makes the answer that the flags describe.
pub(crate) fn of(flags: &Flags) -> Response<Bytes> {
    let mut answer = Response::new(flags.body.clone().unwrap_or_default().into());
    if let Some(status) = flags.status {
        *answer.status_mut() = status;
    }
    for (name, value) in &flags.headers {
        answer.headers_mut().append(name, value.clone());
    }
    answer
}
