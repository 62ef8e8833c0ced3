use tower_idempotency::{
    Admin, RecordName,
    admin::{Entry, List},
};

use crate::{Failure, flags::Flags};

/// Returns the name of the record that the flags name.
pub(crate) async fn named(flags: &Flags, store: &dyn Admin) -> Result<RecordName, Failure> {
    if let Some(key) = &flags.key {
        return Ok(flags.names.of(flags.scope.as_ref(), key));
    }
    let digits = flags.record.as_deref().unwrap_or_default();
    match digits.parse() {
        Ok(name) => Ok(name),
        Err(_) => search(store, digits).await,
    }
}

/// Looks for the one record whose name begins like this.
async fn search(store: &dyn Admin, digits: &str) -> Result<RecordName, Failure> {
    let mut found: Option<RecordName> = None;
    let mut list = List::new().at_once(List::MAX_AT_ONCE);
    loop {
        let page = store.list(&list).await?;
        for entry in page
            .entries
            .iter()
            .filter(|entry| begins_like(entry, digits))
        {
            if found.is_some_and(|found| found != entry.name) {
                return Err(Failure::NotDone(format!(
                    "more than one record begins with {digits}: give more digits"
                )));
            }
            found = Some(entry.name);
        }
        match page.next {
            Some(next) => list = list.after(next),
            None => break,
        }
    }
    found.ok_or_else(|| Failure::NotDone(format!("no record begins with {digits}")))
}

pub(crate) fn begins_like(entry: &Entry, digits: &str) -> bool {
    format!("{:x}", entry.name).starts_with(digits)
}
