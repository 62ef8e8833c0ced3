use std::{error::Error, fmt};

/// A schema or table name that PostgreSQL would not keep as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    name: String,
    longest: usize,
}

impl InvalidName {
    pub(super) fn new(name: &str, longest: usize) -> Self {
        Self {
            name: name.to_owned(),
            longest,
        }
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, longest } = self;
        write!(
            f,
            "{name:?} is no name for a table or its schema: it has 1 to {longest} bytes, none of them 0"
        )
    }
}

impl Error for InvalidName {}
