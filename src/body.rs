//! The body types of both directions, and how one is read.

mod buffered;
mod request;
mod response;

pub(crate) use buffered::{Buffered, Read};
pub use request::RequestBody;
pub use response::ResponseBody;
