use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::{Result, area::Area, bench::Bench, process, workers};

/// The tests of an area, how long each takes, and which mutants it comes by.
#[derive(Debug, Default)]
pub(crate) struct Tests {
    by_name: BTreeMap<String, Seen>,
}

#[derive(Debug, Clone)]
struct Seen {
    took: Duration,
    reached: BTreeSet<usize>,
}

/// How long the tests of a group take together: what most mutants fail is soon over.
const GROUPS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// A test may take this long when it is alone: the first that needs the examples has them built.
const ALONE: Duration = Duration::from_secs(900);

impl Tests {
    /// Runs each test alone, with no mutant alive, unless that was done before: with the same source,
    /// and the same file of tests.
    pub(crate) fn look(bench: &Bench, into: &Path, areas: &[&Area], source: u64) -> Result<Self> {
        let listing = Command::new(&bench.program)
            .args(["--list", "--format", "terse"])
            .output()?;
        let listing = String::from_utf8(listing.stdout)?;
        let names = listing
            .lines()
            .filter_map(|line| line.strip_suffix(": test"));
        let names: Vec<_> = names
            .filter(|name| areas.iter().any(|area| area.has_test(name)))
            .collect();
        let reached = into.join("reached").join(format!("{source:016x}"));
        fs::create_dir_all(&reached)?;
        let seen = workers(&names, |name| {
            let written = fs::read(file_of(&bench.tree, name)).unwrap_or_default();
            let file = reached.join(format!(
                "{}-{:016x}",
                name.replace("::", "."),
                hash(&written)
            ));
            Ok((*name, seen(bench, name, &file)?))
        })?;
        let by_name = seen
            .into_iter()
            .filter_map(|(name, seen)| Some((name.to_owned(), seen?)));
        Ok(Self {
            by_name: by_name.collect(),
        })
    }

    /// Returns the tests that come by a mutant, and what they take together, in groups: first those
    /// that are soon over. Those that take longer than so long are left out.
    pub(crate) fn of(&self, mutant: usize, longest: Duration) -> Vec<(Vec<&str>, Duration)> {
        let reaching = self
            .by_name
            .iter()
            .filter(|(_, seen)| seen.took < longest && seen.reached.contains(&mutant));
        let mut reaching: Vec<_> = reaching
            .map(|(name, seen)| (seen.took, name.as_str()))
            .collect();
        reaching.sort_unstable();
        let mut groups = Vec::<(Vec<&str>, Duration)>::new();
        let mut bounds = GROUPS.into_iter();
        let mut bound = Duration::ZERO;
        for (took, name) in reaching {
            match groups.last_mut() {
                Some((group, all)) if *all + took <= bound => {
                    group.push(name);
                    *all += took;
                }
                _ => {
                    bound = bounds.next().unwrap_or(Duration::MAX);
                    groups.push((vec![name], took));
                }
            }
        }
        groups
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Returns nothing for a test that fails by itself.
fn seen(bench: &Bench, name: &str, file: &Path) -> Result<Option<Seen>> {
    if !file.exists() {
        // The name has dots in it: this is no extension.
        let trace = PathBuf::from(format!("{}.part", file.display()));
        let _ = fs::remove_file(&trace);
        let mut test = Command::new(&bench.program);
        test.args(["--exact", name]).env("MUTANTS_REACHED", &trace);
        let began = Instant::now();
        if !process::passes(test, &bench.tree, ALONE)? {
            eprintln!("mutants: {name} fails by itself, and is left out");
            return Ok(None);
        }
        let took = began.elapsed().as_millis();
        let reached = fs::read_to_string(&trace).unwrap_or_default();
        let _ = fs::remove_file(&trace);
        fs::write(file, format!("{took}\n{reached}"))?;
    }
    let text = fs::read_to_string(file)?;
    let mut numbers = text.lines().map(str::parse::<u64>);
    let took = Duration::from_millis(numbers.next().ok_or("an empty file")??);
    let reached = numbers
        .map(|number| Ok(usize::try_from(number?)?))
        .collect::<Result<_>>()?;
    Ok(Some(Seen { took, reached }))
}

/// Returns the file of tests that `a::b::test` is in: a/b.rs, a.rs, or main.rs.
fn file_of(tree: &Path, test: &str) -> PathBuf {
    let root = tree.join("tests/it");
    let mut modules: Vec<_> = test.split("::").collect();
    while modules.pop().is_some() {
        let file = root.join(modules.join("/")).with_extension("rs");
        if file.exists() {
            return file;
        }
    }
    root.join("main.rs")
}

pub(crate) fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
