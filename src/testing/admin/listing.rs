//! What is listed.

use std::collections::HashMap;

use super::{
    Checked,
    desk::{Desk, expect_same, expect_that},
};
use crate::{
    RecordName,
    admin::{Entry, Force, List, State, count},
    testing::{
        subject::{LONG, Owner},
        violation::{Failed, Violation},
    },
};

/// How much of a name a listing tells at least.
const TOLD: usize = 16;

/// Lists all that is there, by the beginnings of names.
async fn all(rule: &str, desk: &Desk, list: List) -> Result<HashMap<Vec<u8>, Entry>, Failed> {
    let mut all = HashMap::new();
    let mut asked = list.clone();
    loop {
        let page = desk.admin(1).list(&asked).await;
        let page = page.map_err(|error| Violation::new(rule, "a page", error))?;
        for entry in page.entries {
            all.insert(beginning(&entry.name), entry);
        }
        match page.next {
            Some(next) => asked = list.clone().after(next),
            None => return Ok(all),
        }
    }
}

fn beginning(name: &RecordName) -> Vec<u8> {
    name.as_bytes()[..TOLD].to_vec()
}

pub(super) async fn records_are_listed(desk: Desk) -> Checked {
    let rule = "every record is listed, and a listed name finds it and forgets it";
    let mut held = Vec::new();
    for _ in 0..4 {
        let desk = desk.another();
        held.push((desk.bring(rule, State::Completed, 1).await?, desk));
    }
    let list = List::new().at_once(3);
    let listed = all(rule, &desk, list.clone()).await?;
    for (_, desk) in &held {
        let entry = listed.get(&beginning(desk.name()));
        let entry = entry.ok_or_else(|| Violation::new(rule, "all records", "one is missing"))?;
        expect_same(rule, &State::Completed, &entry.state)?;
        let forgotten = desk.admin(1).forget(&entry.name, Force::No).await;
        forgotten.map_err(|error| Violation::new(rule, "an answer", error))?;
        expect_same(rule, &None, &desk.find(2).await?)?;
    }
    let listed = all(rule, &desk, list).await?;
    let is_there = |desk: &Desk| listed.contains_key(&beginning(desk.name()));
    let forgotten = held.iter().all(|(_, desk)| !is_there(desk));
    expect_that(rule, "nothing that was forgotten", forgotten, "some of it")
}

pub(super) async fn every_state_is_listed(desk: Desk) -> Checked {
    let rule = "a listing tells of every key in its state, over however many pages, and ends";
    let mut held = Vec::new();
    for state in State::ALL {
        for fence in [1, 2, 3] {
            let desk = desk.another();
            held.push((desk.bring(rule, state, fence).await?, desk, state));
        }
    }
    let expired = desk.another();
    let owner = Owner::random().lasting(LONG, expired.subject.unit);
    let _held = expired.subject.claim(0, &owner).await;
    expired.subject.complete(0, &owner).await;
    expired.subject.pass_a_unit().await;
    let before = count(&**desk.admin(0)).await;
    for keys in [1, 5, 1000] {
        let listed = all(rule, &desk, List::new().at_once(keys)).await?;
        for (_, desk, state) in &held {
            let entry = listed.get(&beginning(desk.name()));
            let entry = entry.ok_or_else(|| Violation::new(rule, state, "nothing of it"))?;
            is_as_found(rule, desk, entry).await?;
        }
        let is_over = !listed.contains_key(&beginning(expired.name()));
        expect_that(rule, "nothing that has expired", is_over, "some of it")?;
    }
    for state in State::ALL {
        let listed = all(rule, &desk, List::new().state(state)).await?;
        let others = listed.values().filter(|entry| entry.state != state);
        expect_same(rule, &0, &others.count())?;
        let ours = held
            .iter()
            .filter(|(_, desk, its)| *its == state && listed.contains_key(&beginning(desk.name())));
        expect_same(rule, &3, &ours.count())?;
    }
    let counts = before.map_err(|error| Violation::new(rule, "counts", error))?;
    let enough = [
        counts.in_flight,
        counts.lapsed,
        counts.abandoned,
        counts.completed,
    ]
    .iter()
    .all(|count| *count >= 3);
    expect_that(rule, "three of each state counted", enough, counts)
}

/// Passes if a listing tells what `find` does, but for the moments.
async fn is_as_found(rule: &str, desk: &Desk, listed: &Entry) -> Checked {
    let found = desk.entry(rule).await?;
    let timeless = |entry: &Entry| Entry {
        name: RecordName::beginning(&beginning(&entry.name)),
        lease_left: None,
        expires_in: LONG,
        ..entry.clone()
    };
    expect_same(rule, &timeless(&found), &timeless(listed))?;
    let no_later = listed.expires_in >= found.expires_in;
    expect_that(rule, "an expiry that was found", no_later, listed)?;
    if listed.state == State::Completed {
        return Ok(());
    }
    // To record an answer takes all of it.
    expect_same(rule, desk.name(), &listed.name)
}
