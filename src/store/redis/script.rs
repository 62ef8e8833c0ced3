use std::sync::LazyLock;

use bytes::Bytes;
use redis::{Cmd, Script as Hashed, Value, cmd};

use super::{foreign::Foreign, key::Key, value::WHO};
use crate::store::Claim;

/// The scripts, one for each operation: one key, one step, one round trip, and each may be
/// repeated by the same owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Claim,
    Renew,
    Complete,
    Release,
    Abandon,
}

struct Source {
    code: String,
    sha: String,
}

static SOURCES: LazyLock<[Source; 5]> = LazyLock::new(|| {
    [
        include_str!("claim.lua"),
        include_str!("renew.lua"),
        include_str!("complete.lua"),
        include_str!("release.lua"),
        include_str!("abandon.lua"),
    ]
    .map(|script| {
        let code = format!("{}\n{script}", include_str!("prelude.lua"));
        let sha = Hashed::new(&code).get_hash().to_owned();
        Source { code, sha }
    })
});

/// What the arguments of most calls take.
const SIZE: usize = 300;

/// A script with its arguments.
pub(super) struct Call {
    script: Script,
    who: [u8; WHO],
    by_hash: Cmd,
}

impl Script {
    /// Returns a call of the script, with arguments still to be added: with `more` bytes beside
    /// those that all have.
    pub(super) fn call(self, key: &Key, claim: &Claim, more: usize) -> Call {
        let who = who(claim);
        let mut by_hash = Cmd::with_capacity(10, SIZE + more);
        by_hash
            .arg("EVALSHA")
            .arg(&SOURCES[self as usize].sha)
            .arg(1)
            .arg(key.as_bytes())
            .arg(&who[..]);
        Call {
            script: self,
            who,
            by_hash,
        }
    }

    /// The letter with which its answers begin.
    const fn letter(self) -> u8 {
        match self {
            Self::Claim => b'c',
            Self::Renew => b'n',
            Self::Complete => b'f',
            Self::Release => b'r',
            Self::Abandon => b'b',
        }
    }
}

impl Call {
    pub(super) fn arg(mut self, arg: impl redis::ToRedisArgs) -> Self {
        self.by_hash.arg(arg);
        self
    }

    /// The call, for a server that knows the script.
    pub(super) const fn by_hash(&self) -> &Cmd {
        &self.by_hash
    }

    /// The call with the script in it, for a server that does not know it yet.
    pub(super) fn with_code(&self) -> Cmd {
        let mut whole = cmd("EVAL");
        whole.arg(&SOURCES[self.script as usize].code);
        for arg in self.by_hash.args_iter().skip(2) {
            if let redis::Arg::Simple(arg) = arg {
                whole.arg(arg);
            }
        }
        whole
    }

    /// Returns whether an answer is to this call: every answer says whom and what it answers.
    pub(super) fn is_answered_by(&self, answer: &Value) -> bool {
        let Value::BulkString(answer) = answer else {
            return false;
        };
        match answer.strip_prefix(&self.who) {
            Some(b"x") => true,
            Some(&[letter, _, ..]) => letter == self.script.letter(),
            _ => false,
        }
    }

    /// Returns what the server answered: a letter, and what goes with it.
    ///
    /// An answer that was meant for somebody else is never taken for our own.
    pub(super) fn answer(&self, answer: Value) -> Result<(u8, Bytes), Foreign> {
        if !self.is_answered_by(&answer) {
            return Err(Foreign::Answer);
        }
        match answer {
            Value::BulkString(answer) if answer.len() > WHO + 1 => {
                Ok((answer[WHO + 1], Bytes::from(answer).slice(WHO + 2..)))
            }
            _ => Err(Foreign::Value),
        }
    }
}

/// What a call is about, and who makes it.
fn who(claim: &Claim) -> [u8; WHO] {
    let mut who = [0; WHO];
    let (name, owner) = who.split_at_mut(crate::RecordName::LEN);
    name.copy_from_slice(claim.name().as_bytes());
    owner.copy_from_slice(claim.owner().as_bytes());
    who
}
