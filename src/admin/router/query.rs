use std::{str::FromStr, time::Duration};

use http::request;

use super::Refusal;
use crate::admin::Repair;

/// The parameters of a request. Their values have no character that a URI would escape.
pub(super) struct Query<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Query<'a> {
    pub(super) fn of(parts: &'a request::Parts) -> Result<Self, Refusal> {
        let query = parts.uri.query().unwrap_or_default();
        let given = query.split('&').filter(|given| !given.is_empty());
        let pairs = given.map(|given| {
            let pair = given.split_once('=');
            pair.ok_or_else(|| Refusal::bad(format!("the parameter {given:?} has no value")))
        });
        Ok(Self(pairs.collect::<Result<_, _>>()?))
    }

    /// Takes a parameter out, if it was given.
    pub(super) fn take<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(place) = self.0.iter().position(|(given, _)| *given == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(place);
        let refused = |_| Refusal::bad(format!("{name}={value:?} is not one that can be used"));
        value.parse().map(Some).map_err(refused)
    }

    /// Takes out how long the layer keeps records.
    pub(super) fn ttl(&mut self) -> Result<Duration, Refusal> {
        let seconds = self.take("ttl_secs")?;
        Ok(seconds.map_or(Repair::TTL, Duration::from_secs))
    }

    /// Refuses what was given and not taken: nothing is passed over in silence.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        match self.0.first() {
            Some((name, _)) => Err(Refusal::bad(format!(
                "there is no parameter {name:?} here, or it was given twice"
            ))),
            None => Ok(()),
        }
    }
}
