use std::{error::Error, fmt};

/// One rule of the contract that a store broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub(super) rule: String,
    pub(super) expected: String,
    pub(super) seen: String,
}

impl Violation {
    pub(super) fn new(
        rule: impl Into<String>,
        expected: impl fmt::Display,
        seen: impl fmt::Display,
    ) -> Self {
        Self {
            rule: rule.into(),
            expected: expected.to_string(),
            seen: seen.to_string(),
        }
    }

    /// Returns the rule, in words.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Returns what the rule demands.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns what the store did.
    #[must_use]
    pub fn seen(&self) -> &str {
        &self.seen
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            expected,
            seen,
        } = self;
        write!(f, "{rule}\n    expected: {expected}\n    seen:     {seen}")
    }
}

/// Every rule of the contract that a store was seen to break.
#[derive(Clone, PartialEq, Eq)]
pub struct Violations(pub(super) Vec<Violation>);

impl Violations {
    /// Returns them one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Violations {
    type Item = &'a Violation;
    type IntoIter = std::slice::Iter<'a, Violation>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One fault breaks many rules, and the first few tell the most.
        let shown = self.0.len().min(SHOWN);
        write!(
            f,
            "the store breaks its contract, {} checks say:",
            self.0.len()
        )?;
        self.0[..shown]
            .iter()
            .try_for_each(|violation| write!(f, "\n\n  {violation}"))?;
        match self.0.len() - shown {
            0 => Ok(()),
            more => write!(f, "\n\n  and {more} more"),
        }
    }
}

const SHOWN: usize = 8;

/// The same as `Display`: it is what `unwrap` in a test shows.
impl fmt::Debug for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Violations {}

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Failed {
    Broken(Violation),
    /// An answer came so late that it says nothing: to be tried again with longer leases.
    TooLate,
}

impl From<Violation> for Failed {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

pub(super) type Checked = Result<(), Failed>;

/// Passes if what was seen is what the rule demands.
pub(super) fn expect<T: PartialEq + fmt::Display>(rule: &str, expected: T, seen: T) -> Checked {
    if expected == seen {
        return Ok(());
    }
    Err(Violation::new(rule, expected, seen).into())
}
