//! Where the keys are that a listing has to look at.

use redis::{RedisResult, Value, cmd};

use super::{foreign::Foreign, key::Key, server::Server};
use crate::runtime::Instant;

/// A node of a cluster, as far as it has keys of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// The first slot that it serves: nodes are listed in this order.
    pub(super) first_slot: u16,
    /// A key that it serves, and no record's.
    pub(super) key: Key,
}

/// How many slots a cluster has.
const SLOTS: u16 = 16384;

impl Node {
    /// The only one, outside of a cluster.
    pub(super) fn only(prefix: &str) -> Self {
        Self {
            first_slot: 0,
            key: numbered(prefix, 0),
        }
    }

    /// Asks a cluster for its nodes.
    pub(super) async fn all(
        server: &Server,
        prefix: &str,
        until: Instant,
    ) -> RedisResult<Result<Vec<Self>, Foreign>> {
        let mut slots = cmd("CLUSTER");
        slots.arg("SLOTS");
        let answer = server.send(&slots, until).await?;
        Ok(of_slots(&answer, prefix).ok_or(Foreign::Answer))
    }
}

/// Reads the answer to `CLUSTER SLOTS`: for each range of slots its first and its last, and the nodes
/// that have them, the master first.
fn of_slots(answer: &Value, prefix: &str) -> Option<Vec<Node>> {
    let mut masters: Vec<(&Value, Vec<(u16, u16)>)> = Vec::new();
    for range in array(answer)? {
        let [first, last, master, ..] = array(range)? else {
            return None;
        };
        let range = (slot(first)?, slot(last)?);
        match masters.iter_mut().find(|(known, _)| *known == master) {
            Some((_, ranges)) => ranges.push(range),
            None => masters.push((master, vec![range])),
        }
    }
    let nodes = masters
        .iter()
        .filter_map(|(_, ranges)| node(prefix, ranges));
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by_key(|node| node.first_slot);
    Some(nodes)
}

/// Makes the node that serves these ranges of slots; none, if it can have no key of ours.
fn node(prefix: &str, ranges: &[(u16, u16)]) -> Option<Node> {
    let is_served = |key: &Key| {
        let slot = slot_of(key.as_bytes());
        ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&slot))
    };
    // A hash tag in the prefix has all keys in one slot. Without one, few tries do.
    let tries = if tag_in(prefix.as_bytes()).is_some() {
        1
    } else {
        u32::from(SLOTS) * 8
    };
    let mut keys = (0..tries).map(|number| numbered(prefix, number));
    let key = keys.find(is_served)?;
    let first_slot = ranges.iter().map(|(first, _)| *first).min()?;
    Some(Node { first_slot, key })
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn slot(value: &Value) -> Option<u16> {
    match value {
        Value::Int(slot) => u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS),
        _ => None,
    }
}

/// Makes a key that is no record's: it is shorter.
fn numbered(prefix: &str, number: u32) -> Key {
    Key::from(format!("{prefix}{number}").as_bytes())
}

/// Returns the slot of a key, as the specification of Redis Cluster says.
fn slot_of(key: &[u8]) -> u16 {
    let hashed = tag_in(key).unwrap_or(key).iter();
    // CRC-16/XMODEM.
    let crc = hashed.fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    });
    crc % SLOTS
}

/// Returns what alone decides about the slot, where a key has such a part.
fn tag_in(key: &[u8]) -> Option<&[u8]> {
    let (_, rest) = key.split_at(key.iter().position(|&byte| byte == b'{')? + 1);
    let len = rest.iter().position(|&byte| byte == b'}')?;
    (len > 0).then(|| &rest[..len])
}
