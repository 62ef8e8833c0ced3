use std::fmt;

/// A figure beside the bound that was set for it.
pub(crate) struct Figure {
    figure: f64,
    bound: Option<Bound>,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(crate) const fn unbounded(figure: f64) -> Self {
        let bound = None;
        Self { figure, bound }
    }

    pub(crate) const fn at_most(figure: f64, bound: f64) -> Self {
        let bound = Some(Bound::AtMost(bound));
        Self { figure, bound }
    }

    pub(crate) const fn at_least(figure: f64, bound: f64) -> Self {
        let bound = Some(Bound::AtLeast(bound));
        Self { figure, bound }
    }
}

/// Writes `1.17  bound 1.15 missed`, to as many places as the format asks for.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, places) = (f.width().unwrap_or(8), f.precision().unwrap_or(2));
        write!(f, "{:>width$.places$}", self.figure)?;
        let (what, bound, met) = match self.bound {
            None => return Ok(()),
            Some(Bound::AtMost(bound)) => ("at most", bound, self.figure <= bound),
            Some(Bound::AtLeast(bound)) => ("at least", bound, self.figure >= bound),
        };
        let verdict = if met { "met" } else { "MISSED" };
        write!(f, "  {what} {bound:.places$}: {verdict}")
    }
}
