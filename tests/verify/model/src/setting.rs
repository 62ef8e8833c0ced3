use table::Rule;

/// What is checked, and how much may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// The policy for an unknown outcome is `Retry`; otherwise `Refuse`.
    pub retry: bool,
    /// The second client uses the key for another request.
    pub other_request: bool,
    /// How many exchanges the two clients begin, all together.
    pub exchanges: usize,
    /// How many requests are applied late, after whoever sent them has given them up.
    pub strays: u8,
    /// How often the store's clock jumps forward.
    pub jumps: u8,
    /// How often the store loses a key.
    pub losses: u8,
    /// The rule that is left out.
    pub without: Option<Rule>,
}

impl Setting {
    /// Two clients, two owners, and one of each fault.
    pub const fn small(retry: bool, other_request: bool) -> Self {
        Self {
            retry,
            other_request,
            exchanges: 2,
            strays: 1,
            jumps: 0,
            losses: 0,
            without: None,
        }
    }

    /// The name of the property that all promises are kept.
    pub const KEPT: &str = "the promises are kept";

    /// The name of the property that shows that the model does something at all.
    pub const REPLAYED: &str = "an answer is replayed";

    /// Returns every setting that is checked, with all rules in place, the smaller ones first.
    pub fn all() -> impl Iterator<Item = Self> {
        let policies = [true, false].into_iter();
        let both = policies.flat_map(|retry| [false, true].map(|other| Self::small(retry, other)));
        let small: Vec<_> = both.collect();
        let with = |change: fn(&mut Self)| {
            small.clone().into_iter().map(move |mut setting| {
                change(&mut setting);
                setting
            })
        };
        small
            .clone()
            .into_iter()
            .chain(with(|setting| setting.jumps = 1))
            .chain(with(|setting| setting.losses = 1))
            .chain(with(|setting| {
                (setting.exchanges, setting.strays) = (3, 0);
            }))
            .chain(with(|setting| setting.strays = 2))
            .chain(with(|setting| setting.exchanges = 3))
    }

    pub fn keeps(&self, rule: Rule) -> bool {
        self.without != Some(rule)
    }
}
