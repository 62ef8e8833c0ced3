//! What operators ask for.

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    RedisStore, foreign::Foreign, key::Key, listed, listed::Listed, millis, nodes::Node, replicate,
    script::Script, server::failed, who::Who,
};
use crate::{
    admin::{Admin, Cursor, Entry, Force, Forgotten, List, Page, Repair, Repaired},
    events,
    record_name::RecordName,
    runtime::{self, Instant},
    store::StoreError,
};

/// How many keys the server looks at for one page at most: it is busy for about a millisecond with that.
const AT_ONCE: usize = 100;

#[async_trait]
impl Admin for RedisStore {
    async fn find(&self, name: &RecordName) -> Result<Option<Entry>, StoreError> {
        events::looked_at(name);
        match self.look(name, false).await? {
            (b'a', _) => Ok(None),
            (b'f', found) => Ok(Some(listed::found(name, &found)?)),
            _ => Err(Foreign::Answer.into()),
        }
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        events::response_shown(name);
        match self.look(name, true).await? {
            (b'a', _) => Ok(None),
            (b'r', record) => Ok(Some(record)),
            _ => Err(Foreign::Answer.into()),
        }
    }

    async fn forget(&self, name: &RecordName, force: Force) -> Result<Forgotten, StoreError> {
        let key = self.key(name);
        let call = Script::Forget
            .call(&key, Who::stranger(name), 0)
            .arg(i32::from(force == Force::Yes))
            .arg(self.shared.wake());
        let (code, _, replicas) = self.shared.write(&call).await?;
        let forgotten = match code {
            b'a' => Forgotten::Absent,
            b'i' => Forgotten::InFlight,
            b'd' => {
                self.shared.wakeups.wake(&key);
                replicate(replicas).await?;
                Forgotten::Forgotten
            }
            _ => return Err(Foreign::Answer.into()),
        };
        events::forgotten(name, force, forgotten);
        Ok(forgotten)
    }

    async fn repair(&self, repair: &Repair) -> Result<Repaired, StoreError> {
        let key = self.key(repair.name());
        let who = Who::new(repair.name(), repair.owner());
        let call = Script::Repair
            .call(&key, who, repair.record().len())
            .arg(&repair.record()[..])
            .arg(millis(repair.kept_for()))
            .arg(&repair.fence().to_be_bytes()[..])
            .arg(&repair.fingerprint().as_bytes()[..])
            .arg(self.shared.wake());
        let (code, _, replicas) = self.shared.write(&call).await?;
        let repaired = match code {
            b'a' => Repaired::Absent,
            b'i' => Repaired::InFlight,
            b'c' => Repaired::Completed,
            b'o' => Repaired::Changed,
            b'r' => {
                self.shared.wakeups.wake(&key);
                replicate(replicas).await?;
                Repaired::Recorded
            }
            _ => return Err(Foreign::Answer.into()),
        };
        events::repaired(repair, repaired);
        Ok(repaired)
    }

    /// One call of `SCAN`, on one node after the other.
    async fn list(&self, list: &List) -> Result<Page, StoreError> {
        let nodes = self.nodes().await?;
        let (from_slot, from) = list.begins_at().map_or((0, 0), place_of);
        let mut nodes = nodes.iter().skip_while(|node| node.first_slot < from_slot);
        let Some(node) = nodes.next() else {
            return Ok(list.page([], 0, None));
        };
        // Cursors are a node's own.
        let from = if node.first_slot == from_slot {
            from
        } else {
            0
        };
        let listed = self.scan(node, from, list.keys().min(AT_ONCE)).await?;
        let next = match listed.next {
            0 => nodes.next().map(|node| cursor(node.first_slot, 0)),
            next => Some(cursor(node.first_slot, next)),
        };
        let page = list.page(listed.entries, listed.unreadable, next);
        events::listed(&page);
        Ok(page)
    }
}

impl RedisStore {
    async fn look(&self, name: &RecordName, record: bool) -> Result<(u8, Bytes), StoreError> {
        let call = Script::Find
            .call(&self.key(name), Who::stranger(name), 0)
            .arg(i32::from(record));
        self.shared.run(&call).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let shared = &self.shared;
        if !shared.is_cluster {
            return Ok(vec![Node::only(&shared.prefix)]);
        }
        let until = Instant::now() + shared.deadline;
        let nodes = Node::all(&shared.server, &shared.prefix, until).await;
        Ok(nodes.map_err(failed)??)
    }

    async fn scan(&self, node: &Node, from: u64, keys: usize) -> Result<Listed, StoreError> {
        let prefix = &self.shared.prefix;
        // Nobody else asks about this name, so that the answer cannot be another's.
        let nobody = RecordName::from_bytes(runtime::random());
        let call = Script::List
            .call(&node.key, Who::stranger(&nobody), 0)
            .arg(from)
            .arg(format!("{}*", literally(prefix)))
            .arg(keys)
            .arg(prefix.len() + Key::TEXT);
        match self.shared.run(&call).await? {
            (b's', answer) => Ok(Listed::read(&answer)?),
            _ => Err(Foreign::Answer.into()),
        }
    }
}

/// Writes text as a pattern that matches it and nothing else.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

fn cursor(slot: u16, scan: u64) -> Cursor {
    let mut bytes = [0; Cursor::LEN];
    bytes[..2].copy_from_slice(&slot.to_be_bytes());
    bytes[2..10].copy_from_slice(&scan.to_be_bytes());
    Cursor::from_bytes(bytes)
}

fn place_of(cursor: &Cursor) -> (u16, u64) {
    let bytes = cursor.as_bytes();
    let slot = u16::from_be_bytes([bytes[0], bytes[1]]);
    let scan = std::array::from_fn(|index| bytes[2 + index]);
    (slot, u64::from_be_bytes(scan))
}
