//! Whether the server's settings keep what it acknowledges.

use std::collections::HashMap;

use redis::{RedisError, RedisResult, Value, cmd};

use super::server::Server;
use crate::runtime::Instant;

/// What to do when the server's settings lose keys.
///
/// A server that evicts records, or a replica, breaks the promises in normal operation. One that
/// does not write to disk before it acknowledges breaks them when it crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnsafeSettings {
    /// Connecting to a server that evicts, or to a replica, fails. What is lost only in a crash is
    /// a [warning](super::RedisStore::warnings).
    #[default]
    Refuse,
    /// All of it is a warning.
    Warn,
    /// Nothing is looked at.
    Ignore,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// What loses keys while the server runs.
    pub(super) unsafe_now: Vec<String>,
    /// What loses keys in a crash, and what could not be seen.
    pub(super) unsafe_in_a_crash: Vec<String>,
    pub(super) is_cluster: bool,
    /// Whether nothing is appended to a file, however often.
    keeps_nothing: bool,
}

impl Findings {
    /// Asks the server, each of its nodes in a cluster.
    pub(super) async fn of(server: &Server, until: Instant) -> RedisResult<Self> {
        let mut findings = Self::default();
        match nodes(server.send(&cmd("INFO"), until).await) {
            Ok(nodes) => nodes
                .iter()
                .for_each(|info| findings.look_at(&fields(info))),
            Err(error) if is_refusal(&error) => findings.unsafe_in_a_crash.push(
                "INFO is forbidden: whether the server evicts, is a replica or keeps nothing on \
                 disk could not be checked; it needs maxmemory-policy noeviction, appendonly yes \
                 and appendfsync always"
                    .to_owned(),
            ),
            Err(error) => return Err(error),
        }
        if findings.keeps_nothing {
            return Ok(findings);
        }
        let mut fsync = cmd("CONFIG");
        fsync.arg("GET").arg("appendfsync");
        match server.send(&fsync, until).await {
            Ok(settings) => {
                let mut policies = Vec::new();
                collect(&settings, &mut policies);
                if policies
                    .iter()
                    .any(|policy| policy == "everysec" || policy == "no")
                {
                    findings.add_in_a_crash(
                        "appendfsync is not always: a crash of the server forgets what it \
                         acknowledged last, and those keys run again; set appendfsync always",
                    );
                }
            }
            Err(error) if is_refusal(&error) => findings.add_in_a_crash(
                "CONFIG is forbidden: appendfsync could not be checked; unless it is always, a \
                 crash of the server forgets what it acknowledged last",
            ),
            Err(error) => return Err(error),
        }
        Ok(findings)
    }

    fn look_at(&mut self, info: &HashMap<&str, &str>) {
        let field = |name| info.get(name).copied();
        self.is_cluster |= field("cluster_enabled") == Some("1");
        // A cluster's replicas answer this too, and are not asked anything else.
        if matches!(field("role"), Some("slave" | "replica")) {
            if !self.is_cluster {
                self.add_now(
                    "the server is a replica: it cannot claim, and may not know what its master \
                     acknowledged; connect to the master",
                );
            }
            return;
        }
        match (field("maxmemory"), field("maxmemory_policy")) {
            (Some("0"), _) | (_, Some("noeviction")) => {}
            (Some(bytes), Some(policy)) => self.add_now(&format!(
                "maxmemory-policy is {policy} with a maxmemory of {bytes} bytes: when memory runs \
                 out the server drops claims and records, and their keys run again; set \
                 maxmemory-policy noeviction"
            )),
            _ => self.add_in_a_crash(
                "the server does not tell its maxmemory-policy: it needs to be noeviction, or \
                 claims and records are dropped when memory runs out",
            ),
        }
        match field("aof_enabled") {
            Some("1") => {}
            Some(_) => {
                self.keeps_nothing = true;
                self.add_in_a_crash(
                    "appendonly is no: a restart of the server forgets what it acknowledged, and \
                     those keys run again; set appendonly yes and appendfsync always",
                );
            }
            None => self.add_in_a_crash(
                "the server does not tell whether appendonly is yes: if not, a restart forgets \
                 what it acknowledged",
            ),
        }
    }

    fn add_now(&mut self, finding: &str) {
        add(&mut self.unsafe_now, finding);
    }

    fn add_in_a_crash(&mut self, finding: &str) {
        add(&mut self.unsafe_in_a_crash, finding);
    }
}

fn add(findings: &mut Vec<String>, finding: &str) {
    if !findings.iter().any(|known| known == finding) {
        findings.push(finding.to_owned());
    }
}

/// Returns whether the server answered, but does not want to tell.
fn is_refusal(error: &RedisError) -> bool {
    !error.is_io_error()
        && error
            .code()
            .is_some_and(|code| code == "NOPERM" || code == "ERR")
}

/// Returns the answer of each node: a cluster gives them by their addresses.
fn nodes(answer: RedisResult<Value>) -> RedisResult<Vec<String>> {
    let mut nodes = Vec::new();
    collect(&answer?, &mut nodes);
    Ok(nodes)
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::BulkString(text) => texts.push(String::from_utf8_lossy(text).into_owned()),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Map(pairs) => pairs.iter().for_each(|(_, value)| collect(value, texts)),
        _ => {}
    }
}

fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .collect()
}
