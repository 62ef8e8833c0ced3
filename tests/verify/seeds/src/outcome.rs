use std::{fmt, num::ParseIntError, str::FromStr};

/// What a seed did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// A digest of every event with its moment.
    pub trace: u64,
    pub events: usize,
    pub runs: usize,
    pub replays: usize,
    pub faults: usize,
    pub violations: Vec<String>,
}

/// A line of numbers, and one for each violation.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace,
            events,
            runs,
            replays,
            faults,
            ..
        } = self;
        writeln!(f, "{trace} {events} {runs} {replays} {faults}")?;
        self.violations
            .iter()
            .try_for_each(|violation| writeln!(f, "{violation}"))
    }
}

impl FromStr for Outcome {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let mut lines = text.lines();
        let mut numbers = lines.next().unwrap_or_default().split(' ');
        let mut next = || numbers.next().unwrap_or_default();
        Ok(Self {
            trace: next().parse()?,
            events: next().parse()?,
            runs: next().parse()?,
            replays: next().parse()?,
            faults: next().parse()?,
            violations: lines.map(ToOwned::to_owned).collect(),
        })
    }
}
