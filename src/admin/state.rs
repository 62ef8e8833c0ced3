use std::{error::Error, fmt, str::FromStr};

/// The state of a key that a store knows: see [`store`](crate::store#states-of-a-key).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Its owner is at work, under a lease that is live.
    InFlight,
    /// The lease has passed. The owner is dead, or will come back late: its outcome is unknown.
    Lapsed,
    /// The owner gave up, and does not know its outcome either.
    Abandoned,
    /// There is a record.
    Completed,
}

impl State {
    /// Every state, in the order in which a key comes to them.
    pub const ALL: [Self; 4] = [
        Self::InFlight,
        Self::Lapsed,
        Self::Abandoned,
        Self::Completed,
    ];

    /// Returns the state in one word: `in-flight`, `lapsed`, `abandoned` or `completed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in-flight",
            Self::Lapsed => "lapsed",
            Self::Abandoned => "abandoned",
            Self::Completed => "completed",
        }
    }

    /// Returns whether nobody knows what became of the run: lapsed or abandoned.
    #[must_use]
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::Lapsed | Self::Abandoned)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidState;

    fn from_str(word: &str) -> Result<Self, InvalidState> {
        let mut all = Self::ALL.into_iter();
        all.find(|state| state.as_str() == word).ok_or(InvalidState)
    }
}

/// A word that is none of the [`State`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidState;

impl fmt::Display for InvalidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a state is in-flight, lapsed, abandoned or completed")
    }
}

impl Error for InvalidState {}
