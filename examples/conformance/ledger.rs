use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::Mutex,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tower_idempotency::IdempotencyContext;

/// A file that says which handler ran when, for whoever looks for two at a time.
pub(crate) struct Ledger(Mutex<File>);

impl Ledger {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|error| format!("cannot append to {}: {error}", path.display()))
    }

    pub(crate) fn append(&self, event: &str, context: Option<&IdempotencyContext>) {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("a clock after 1970");
        let line = json!({
            "downstream_key": context.map(|context| context.downstream_key("charge")),
            "attempt": context.map(IdempotencyContext::attempt),
            "fence": context.and_then(IdempotencyContext::fence),
            "event": event,
            "ms": u64::try_from(since_1970.as_millis()).expect("a clock of this age"),
        });
        // One write, so that lines of many processes do not mix.
        let mut file = self.0.lock().expect("no panic while it is held");
        file.write_all(format!("{line}\n").as_bytes())
            .expect("the ledger takes another line");
    }
}
