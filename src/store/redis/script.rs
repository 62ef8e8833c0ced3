use std::sync::LazyLock;

use bytes::Bytes;
use redis::{Cmd, Script as Hashed, Value, cmd};

use super::{foreign::Foreign, key::Key, who::Who};

/// The scripts, one for each operation: one key, one step, one round trip, and each may be
/// repeated by the same owner. The last four are for operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Claim,
    Renew,
    Complete,
    Release,
    Abandon,
    Find,
    Forget,
    Repair,
    List,
}

struct Source {
    code: String,
    sha: String,
}

static SOURCES: LazyLock<[Source; 9]> = LazyLock::new(|| {
    const DESCRIBE: &str = include_str!("describe.lua");
    [
        ("", include_str!("claim.lua")),
        ("", include_str!("renew.lua")),
        ("", include_str!("complete.lua")),
        ("", include_str!("release.lua")),
        ("", include_str!("abandon.lua")),
        (DESCRIBE, include_str!("find.lua")),
        ("", include_str!("forget.lua")),
        ("", include_str!("repair.lua")),
        (DESCRIBE, include_str!("list.lua")),
    ]
    .map(|(more, script)| {
        let code = format!("{}\n{more}{script}", include_str!("prelude.lua"));
        let sha = Hashed::new(&code).get_hash().to_owned();
        Source { code, sha }
    })
});

/// What the arguments of most calls take.
const SIZE: usize = 300;

/// A script with its arguments.
pub(super) struct Call {
    script: Script,
    who: Who,
    by_hash: Cmd,
}

impl Script {
    /// Returns a call of the script, with arguments still to be added: with `more` bytes beside
    /// those that all have.
    pub(super) fn call(self, key: &Key, who: impl Into<Who>, more: usize) -> Call {
        let who = who.into();
        let mut by_hash = Cmd::with_capacity(10, SIZE + more);
        by_hash
            .arg("EVALSHA")
            .arg(&SOURCES[self as usize].sha)
            .arg(1)
            .arg(key.as_bytes())
            .arg(&who.as_bytes()[..]);
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
            Self::Find => b'l',
            Self::Forget => b'g',
            Self::Repair => b'm',
            Self::List => b's',
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
        match answer.strip_prefix(self.who.as_bytes()) {
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
            Value::BulkString(answer) if answer.len() > Who::LEN + 1 => {
                let code = answer[Who::LEN + 1];
                Ok((code, Bytes::from(answer).slice(Who::LEN + 2..)))
            }
            _ => Err(Foreign::Value),
        }
    }
}
