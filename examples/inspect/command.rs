use std::{
    io::{self, BufWriter, Write},
    time::Duration,
};

use serde_json::json;
use tower_idempotency::{
    Admin, Record,
    admin::{self, Force, Forgotten, List, Repair, Repaired},
};

use crate::{
    Failure, answer,
    flags::{Command, Flags},
    print,
    record::{begins_like, named},
    store,
};

type Done = Result<(), Failure>;

/// Does what the command line asks for.
pub(crate) async fn run(flags: Flags) -> Done {
    let command = flags.command;
    if let (Some(Command::Name), Some(key)) = (command, &flags.key) {
        let name = flags.names.of(flags.scope.as_ref(), key);
        return say(
            &flags,
            &json!({ "record": format!("{name:x}") }),
            &format!("{name:x}"),
        );
    }
    let store = store::open(&flags).await?;
    match command {
        Some(Command::List) => list(&flags, &*store).await,
        Some(Command::Count) => count(&flags, &*store).await,
        Some(Command::Show) => show(&flags, &*store).await,
        Some(Command::Forget) => forget(&flags, &*store).await,
        Some(Command::Resolve) => resolve(&flags, &*store).await,
        Some(Command::Name) | None => unreachable!("the flags were checked"),
    }
}

fn ttl(flags: &Flags) -> Duration {
    flags.ttl.unwrap_or(Repair::TTL)
}

fn say(flags: &Flags, json: &serde_json::Value, text: &str) -> Done {
    let mut out = io::stdout().lock();
    if flags.json {
        writeln!(out, "{json}")?;
    } else {
        writeln!(out, "{text}")?;
    }
    Ok(())
}

/// Writes each page as it comes, so that it takes no memory however much there is.
async fn list(flags: &Flags, store: &dyn Admin) -> Done {
    let mut out = BufWriter::new(io::stdout().lock());
    let limit = flags.limit.unwrap_or(usize::MAX);
    let mut list = List::new().at_once(limit.min(List::MAX_AT_ONCE));
    if let Some(state) = flags.state {
        list = list.state(state);
    }
    let (mut next, mut listed, mut unreadable) = (flags.after, 0, 0);
    if !flags.json {
        print::heading(&mut out)?;
    }
    loop {
        let asked = next.map_or_else(|| list.clone(), |next| list.clone().after(next));
        let page = store.list(&asked).await?;
        let digits = flags.record.as_deref().unwrap_or_default();
        for entry in page
            .entries
            .iter()
            .filter(|entry| begins_like(entry, digits))
        {
            listed += 1;
            if flags.json {
                writeln!(out, "{}", entry.to_json(ttl(flags)))?;
            } else {
                print::entry(&mut out, entry, ttl(flags))?;
            }
        }
        unreadable += page.unreadable;
        next = page.next;
        out.flush()?;
        if next.is_none() || listed >= limit {
            break;
        }
    }
    if flags.json {
        let next = next.map(|next| next.to_string());
        writeln!(out, "{}", json!({ "next": next, "unreadable": unreadable }))?;
    } else {
        if unreadable > 0 {
            writeln!(out, "{unreadable} values are none of this store's")?;
        }
        if let Some(next) = next {
            writeln!(out, "there is more: --after {next}")?;
        }
    }
    out.flush()?;
    Ok(())
}

async fn count(flags: &Flags, store: &dyn Admin) -> Done {
    let counts = admin::count(store).await?;
    let mut out = io::stdout().lock();
    if flags.json {
        writeln!(out, "{}", counts.to_json())?;
    } else {
        print::counts(&mut out, &counts)?;
    }
    Ok(())
}

fn absent() -> Failure {
    Failure::NotDone("nothing is kept under this name".to_owned())
}

async fn show(flags: &Flags, store: &dyn Admin) -> Done {
    let name = named(flags, store).await?;
    let entry = store.find(&name).await?.ok_or_else(absent)?;
    let mut out = io::stdout().lock();
    if flags.json {
        writeln!(out, "{}", entry.to_json(ttl(flags)))?;
    } else {
        print::heading(&mut out)?;
        print::entry(&mut out, &entry, ttl(flags))?;
        if entry.effect_committed {
            writeln!(out, "an attempt committed its effect")?;
        }
    }
    if !flags.response {
        return Ok(());
    }
    let encoded = store.record(&entry.name).await?;
    let encoded = encoded.ok_or_else(|| Failure::NotDone("no response is recorded".to_owned()))?;
    let record = Record::decode(&entry.name, encoded).map_err(|error| {
        let hint = "if the store's records are encrypted, give --encryption";
        Failure::Unusable(format!("{error}; {hint}"))
    })?;
    if flags.json {
        writeln!(out, "{}", print::response_json(&record))?;
    } else {
        writeln!(out)?;
        print::response(&mut out, &record)?;
    }
    out.flush()?;
    Ok(())
}

async fn forget(flags: &Flags, store: &dyn Admin) -> Done {
    let name = named(flags, store).await?;
    let force = if flags.force { Force::Yes } else { Force::No };
    match store.forget(&name, force).await? {
        Forgotten::Forgotten => say(flags, &json!({ "forgotten": format!("{name:x}") }), "forgotten"),
        Forgotten::Absent => Err(absent()),
        Forgotten::InFlight => Err(Failure::NotDone(
            "its owner is at work, and another request would run beside it; once you know that the owner is \
             dead, use --force"
                .to_owned(),
        )),
    }
}

async fn resolve(flags: &Flags, store: &dyn Admin) -> Done {
    let name = named(flags, store).await?;
    let entry = store.find(&name).await?.ok_or_else(absent)?;
    let not_done = |reason: String| Err(Failure::NotDone(reason));
    let repair = match Repair::new(&entry, answer::of(flags)) {
        Ok(repair) => repair.ttl(ttl(flags)),
        Err(reason) => return not_done(reason.to_string()),
    };
    match store.repair(&repair).await? {
        Repaired::Recorded => say(
            flags,
            &json!({ "recorded": format!("{:x}", repair.name()) }),
            "recorded: retries get this answer",
        ),
        Repaired::Absent => Err(absent()),
        Repaired::InFlight | Repaired::Completed | Repaired::Changed => {
            not_done("another request took over meanwhile: look again".to_owned())
        }
    }
}
