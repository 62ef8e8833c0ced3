use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    Result,
    graft::{SWITCH, grafted},
    mutant::Mutant,
};

/// A copy of the crate that has all mutants in it, and its tests.
#[derive(Debug)]
pub(crate) struct Bench {
    /// The tests' program.
    pub(crate) program: PathBuf,
    pub(crate) tree: PathBuf,
    /// Those that no switch turns on: they are not Rust, or are computed when the crate is built.
    pub(crate) unbuilt: BTreeSet<usize>,
    pub(crate) constant: BTreeSet<usize>,
}

impl Bench {
    /// Copies and builds; a mutant that the compiler refuses is left out.
    ///
    /// What was refused before is left out at once, if its file is still the same.
    pub(crate) fn build(
        root: &Path,
        into: &Path,
        mutants: &[Mutant],
        sources: &HashMap<String, u64>,
    ) -> Result<Self> {
        let tree = into.join("tree");
        copy(root, &tree)?;
        let line = |mutant: &Mutant| format!("{:016x}\t{}", sources[&mutant.file], mutant.name);
        let refused = into.join("refused");
        let known = fs::read_to_string(&refused).unwrap_or_default();
        let known: BTreeSet<_> = known.lines().collect();
        let numbered = mutants.iter().enumerate();
        let left_out = numbered.filter(|(_, mutant)| known.contains(line(mutant).as_str()));
        let mut unbuilt: BTreeSet<_> = left_out.map(|(number, _)| number).collect();
        let mut constant_names = Vec::new();
        loop {
            let constant = graft_all(root, &tree, mutants, &unbuilt, &constant_names)?;
            let (errors, program) = built(&tree, into)?;
            if errors.is_empty() {
                let program = program.ok_or("cargo built no tests")?;
                let lines = unbuilt.iter().map(|&number| line(&mutants[number]));
                fs::write(&refused, lines.collect::<Vec<_>>().join("\n"))?;
                return Ok(Self {
                    program,
                    tree,
                    unbuilt,
                    constant,
                });
            }
            let known = (unbuilt.len(), constant_names.len());
            for error in &errors {
                unbuilt.extend(blamed(&tree, error));
                constant_names.extend(needed_constant(error));
            }
            if known == (unbuilt.len(), constant_names.len()) {
                return Err(
                    format!("no mutant is to blame for this:\n{}", rendered(&errors[0])).into(),
                );
            }
        }
    }
}

/// Copies all but the source, with its times, so that only what changed is built again.
fn copy(root: &Path, tree: &Path) -> Result<()> {
    let script = r#"mkdir -p "$1" && find "$1" -mindepth 1 -maxdepth 1 ! -name src -exec rm -rf {} + &&
        git ls-files -z --cached --others --exclude-standard -- . ':!tests/verify' ':!src' |
        tar --create --null --files-from=- | tar --extract --directory "$1""#;
    let mut copying = Command::new("bash");
    copying
        .args(["-o", "pipefail", "-c", script, "copy"])
        .arg(tree)
        .current_dir(root);
    if copying.status()?.success() {
        Ok(())
    } else {
        Err("the tests cannot be copied".into())
    }
}

/// Writes the source with its mutants, and returns those that cannot be switched.
fn graft_all(
    root: &Path,
    tree: &Path,
    mutants: &[Mutant],
    unbuilt: &BTreeSet<usize>,
    constant_names: &[String],
) -> Result<BTreeSet<usize>> {
    let mut constant = BTreeSet::new();
    for file in sources(root)? {
        let mut source = fs::read_to_string(root.join(&file))?;
        let of_file = mutants
            .iter()
            .enumerate()
            .filter(|(_, mutant)| mutant.file == file);
        let of_file: Vec<_> = of_file
            .filter(|(number, _)| !unbuilt.contains(number))
            .collect();
        if !of_file.is_empty() {
            let fixed;
            (source, fixed) = grafted(&source, &of_file, constant_names)
                .map_err(|error| format!("{file}: {error}"))?;
            constant.extend(fixed);
        }
        if file == "src/lib.rs" {
            source = format!("#![allow(warnings, clippy::all)]\n{source}\nmod mutants;\n");
        }
        replace(&tree.join(file), &source)?;
    }
    let switch = format!(
        "{}\nconst COUNT: usize = {};\n",
        include_str!("../switch.rs"),
        mutants.len()
    );
    replace(&tree.join("src/mutants.rs"), &switch)?;
    Ok(constant)
}

fn sources(root: &Path) -> Result<Vec<String>> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            "src",
        ])
        .current_dir(root)
        .output()?;
    Ok(String::from_utf8(listing.stdout)?
        .lines()
        .map(ToOwned::to_owned)
        .collect())
}

/// Leaves the time of what is the same alone.
fn replace(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|now| now == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().expect("it is in a directory"))?;
    Ok(fs::write(path, text)?)
}

/// Returns the compiler's errors, and where the tests are.
fn built(tree: &Path, into: &Path) -> Result<(Vec<Value>, Option<PathBuf>)> {
    let output = Command::new("cargo")
        .args([
            "test",
            "--no-run",
            "--test",
            "it",
            "--all-features",
            "--locked",
            "--quiet",
            "--message-format",
            "json",
        ])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", into.join("target"))
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .stderr(Stdio::piped())
        .output()?;
    let mut errors = Vec::new();
    let mut program = None;
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"{"))
    {
        let told: Value = serde_json::from_slice(line)?;
        if told["message"]["level"] == "error"
            && told["message"]["spans"]
                .as_array()
                .is_some_and(|spans| !spans.is_empty())
        {
            errors.push(told["message"].clone());
        }
        if let Some(path) = told["executable"].as_str() {
            program = Some(path.into());
        }
    }
    if !output.status.success() && errors.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok((errors, program))
}

fn rendered(error: &Value) -> String {
    error["rendered"].as_str().unwrap_or_default().to_owned()
}

/// Returns the mutants whose switches are on the lines that an error points at.
fn blamed(tree: &Path, error: &Value) -> Vec<usize> {
    let mut numbers = Vec::new();
    for span in error["spans"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|span| span["is_primary"] == true)
    {
        let Some(file) = span["file_name"].as_str() else {
            continue;
        };
        let source = fs::read_to_string(tree.join(file)).unwrap_or_default();
        let line = |name: &str| {
            span[name]
                .as_u64()
                .and_then(|line| usize::try_from(line).ok())
                .unwrap_or(1)
        };
        let (first, mut last) = (line("line_start"), line("line_end"));
        // A `match` that is not exhaustive any more: its arms are further down, where one would be added.
        if error["code"]["code"] == "E0004" {
            let hints = error["children"].as_array().into_iter().flatten();
            let spans = hints.flat_map(|hint| hint["spans"].as_array().into_iter().flatten());
            let ends = spans.filter_map(|span| usize::try_from(span["line_end"].as_u64()?).ok());
            last = ends.fold(last, usize::max);
        }
        let lines: Vec<_> = source.lines().take(last).collect();
        let on_line = |line: &&str| {
            let switches = line
                .match_indices(SWITCH)
                .map(|(at, _)| &line[at + SWITCH.len() + 1..]);
            switches
                .filter_map(|rest| rest.split(')').next()?.parse::<usize>().ok())
                .collect::<Vec<_>>()
        };
        let before = numbers.len();
        numbers.extend(lines[first - 1..].iter().flat_map(on_line));
        // What does not fit may be the rest: of a change of many lines, or of a function whose type
        // was taken from an early return.
        if numbers.len() == before && error["code"]["code"] != "E0015" {
            numbers.extend(
                lines[..first]
                    .iter()
                    .rev()
                    .map(on_line)
                    .find(|found| !found.is_empty())
                    .into_iter()
                    .flatten(),
            );
        }
    }
    numbers
}

/// Returns the function that has to stay what it was, since it is called when the crate is built.
fn needed_constant(error: &Value) -> Option<String> {
    let message = error["message"].as_str()?;
    let called = message
        .strip_prefix("cannot call non-const ")?
        .split('`')
        .nth(1)?;
    let path = called
        .split('<')
        .next()
        .filter(|path| !path.is_empty())
        .unwrap_or(called);
    Some(path.trim_end_matches("::").rsplit("::").next()?.to_owned())
}
