/// What clients saw of one key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sighting {
    pub(crate) number: usize,
    /// The answers of handlers, recorded or first-hand.
    pub(crate) shown: Vec<Shown>,
    /// Whether it was said that nobody knows the outcome.
    pub(crate) unknown: bool,
    /// Whether that was said after there had been an answer.
    pub(crate) forgotten: bool,
    /// How many of its requests were given up without a final answer.
    pub(crate) unresolved: usize,
    /// Answers that nobody should get: a status and a body.
    pub(crate) odd: Vec<String>,
}

/// The answer of a run: what `/context` tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shown {
    pub(crate) key: String,
    pub(crate) fence: u64,
}
