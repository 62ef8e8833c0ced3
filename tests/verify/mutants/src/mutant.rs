use std::{collections::HashMap, path::Path, process::Command};

use serde::Deserialize;

use crate::Result;

/// One small change of the source, as cargo-mutants proposes it.
#[derive(Debug)]
pub(crate) struct Mutant {
    pub(crate) file: String,
    /// What it is called in the book and among the survivors: without a line's number, which any
    /// change above would change.
    pub(crate) name: String,
    pub(crate) replacement: String,
    /// Of what is replaced, in lines and columns from 1.
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Kind {
    /// It replaces what a whole function does.
    #[serde(rename = "FnValue")]
    Body,
    /// It takes an arm out of a `match`.
    #[serde(rename = "MatchArm")]
    Arm,
    /// It changes a part of an expression.
    #[serde(other)]
    Other,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: Place,
    pub(crate) end: Place,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

#[derive(Deserialize)]
struct Listed {
    file: String,
    name: String,
    genre: Kind,
    replacement: String,
    span: Span,
}

impl Mutant {
    /// Lists all that cargo-mutants knows to do to a source.
    pub(crate) fn list(root: &Path) -> Result<Vec<Self>> {
        let listing = Command::new("cargo")
            .args(["mutants", "--list", "--json", "--no-config", "--dir"])
            .arg(root)
            .args(["--file", "src/**", "--exclude", "src/client/reqwest.rs"])
            .output()?;
        if !listing.status.success() {
            return Err(String::from_utf8_lossy(&listing.stderr).into());
        }
        let listed: Vec<Listed> = serde_json::from_slice(&listing.stdout)?;
        let mut namesakes = HashMap::<String, usize>::new();
        let named = listed.into_iter().map(|listed| {
            let mut name = without_place(&listed.name);
            let nth = namesakes.entry(name.clone()).or_default();
            *nth += 1;
            if *nth > 1 {
                name = format!("{name} ({nth})");
            }
            Self {
                file: listed.file,
                name,
                replacement: listed.replacement,
                span: listed.span,
                kind: listed.genre,
            }
        });
        Ok(named.collect())
    }
}

/// `src/key.rs:12:5: replace …` without the numbers.
fn without_place(name: &str) -> String {
    let mut parts = name.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => name.to_owned(),
    }
}
