//! What the benches share.

#![allow(dead_code, unused_imports, reason = "each bench uses its part")]

pub(crate) mod figure;
pub(crate) mod rounds;
pub(crate) mod router;
pub(crate) mod variant;

pub(crate) use self::variant::{Variant, replaying};
