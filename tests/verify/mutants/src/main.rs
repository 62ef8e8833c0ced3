//! Tries the mutants that cargo-mutants lists, all of them with one build: each is in the source
//! behind a switch, and each test is asked once which of them it comes by.

mod area;
mod bench;
mod book;
mod graft;
mod mutant;
mod process;
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use lexopt::prelude::*;

use self::{
    area::{AREAS, Area},
    bench::Bench,
    book::{Book, Verdict},
    mutant::Mutant,
    tests::{Tests, hash},
};

/// A test that takes longer is left to those that were missed and are tried again.
const SOON: Duration = Duration::from_secs(150);

type Error = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Error>;

/// What nobody can notice, and docs/verification.md says why.
const SURVIVORS: &str = "tests/verify/survivors.txt";

/// What the command line says.
struct Asked {
    time: Option<Duration>,
    /// Whether what was missed before is tried again, on all tests.
    again: bool,
    /// What a mutant's name has in it.
    only: Option<String>,
    areas: Vec<&'static Area>,
}

impl Asked {
    fn wants(&self, mutant: &Mutant, verdict: Option<Verdict>) -> bool {
        let is_waiting = match verdict {
            None => true,
            Some(Verdict::Missed) => self.again,
            Some(Verdict::Noticed) => false,
        };
        let only = self.only.as_deref().unwrap_or_default();
        is_waiting && mutant.name.contains(only)
    }
}

fn main() -> Result<ExitCode> {
    let mut asked = Asked {
        time: None,
        again: false,
        only: None,
        areas: Vec::new(),
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("seconds") => asked.time = Some(Duration::from_secs(args.value()?.parse()?)),
            Long("again") => asked.again = true,
            Long("only") => asked.only = Some(args.value()?.string()?),
            Value(name) => {
                let area = AREAS.iter().find(|area| name == area.name);
                asked.areas.push(
                    area.ok_or_else(|| format!("there is no area {}", name.to_string_lossy()))?,
                );
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    if asked.areas.is_empty() {
        asked.areas.extend(&AREAS);
    }
    run(&asked)
}

fn run(asked: &Asked) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .canonicalize()?;
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("tests/verify/target"), PathBuf::from);
    let into = target.join("mutants");
    fs::create_dir_all(&into)?;
    let mutants = Mutant::list(&root)?;
    let files: BTreeSet<_> = mutants.iter().map(|mutant| mutant.file.clone()).collect();
    let sources = files
        .into_iter()
        .map(|file| Ok((file.clone(), hash(&fs::read(root.join(&file))?))));
    let sources: HashMap<_, _> = sources.collect::<Result<_>>()?;
    let source = hash(&sources.iter().collect::<BTreeMap<_, _>>());
    let bench = Bench::build(&root, &into, &mutants, &sources)?;
    let book = Book::open(&into.join("book"), sources)?;
    let all: Vec<_> = AREAS.iter().collect();
    let mut end = None;
    let is_over = |end: &Option<Instant>| end.is_some_and(|end| Instant::now() > end);
    for area in &asked.areas {
        let numbered = mutants.iter().enumerate();
        let waiting = numbered.filter(|(number, mutant)| {
            Area::of(&mutant.file).name == area.name
                && asked.wants(mutant, book.of(&mutant.name))
                && !bench.unbuilt.contains(number)
                && !bench.constant.contains(number)
        });
        let mut waiting: Vec<_> = waiting.collect();
        // What the time is too short for must not stand before all others the next time.
        fastrand::shuffle(&mut waiting);
        if waiting.is_empty() || is_over(&end) {
            continue;
        }
        // What the tests of its area missed is for all tests.
        let about = if asked.again {
            all.as_slice()
        } else {
            std::slice::from_ref(area)
        };
        let tests = Tests::look(&bench, &into, about, source)?;
        // The time is for trying: building and looking come on top of it, once.
        end = end.or_else(|| asked.time.map(|time| Instant::now() + time));
        eprintln!(
            "mutants: {} of {}, on {} tests",
            waiting.len(),
            area.name,
            tests.len()
        );
        workers(&waiting, |(number, mutant)| {
            if is_over(&end) {
                return Ok(());
            }
            let longest = if asked.again { Duration::MAX } else { SOON };
            match tried(&bench, &tests.of(*number, longest), *number, end)? {
                Some((verdict, by)) => book.enter(&mutant.name, verdict, &by),
                None => Ok(()),
            }
        })?;
    }
    report(&root, &mutants, &bench, &book)
}

/// Lets the tests run that come by a mutant, until one notices; or tells nothing, if the time is up
/// before.
fn tried(
    bench: &Bench,
    groups: &[(Vec<&str>, Duration)],
    number: usize,
    end: Option<Instant>,
) -> Result<Option<(Verdict, String)>> {
    let left = || {
        end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    };
    for (group, took) in groups {
        let mut command = Command::new(&bench.program);
        command
            .arg("--exact")
            .args(group)
            .env("MUTANT", number.to_string());
        let longest = Duration::from_secs(20) + *took * 5;
        if !process::passes(command, &bench.tree, longest.min(left()))? {
            if left().is_zero() {
                return Ok(None);
            }
            return Ok(Some((Verdict::Noticed, format!("one of {}", group.len()))));
        }
    }
    let tests = groups.iter().map(|(group, _)| group.len()).sum::<usize>();
    Ok(Some((Verdict::Missed, format!("{tests} tests"))))
}

fn report(root: &Path, mutants: &[Mutant], bench: &Bench, book: &Book) -> Result<ExitCode> {
    let explained = fs::read_to_string(root.join(SURVIVORS))?;
    let explained: BTreeSet<_> = explained.lines().collect();
    let of = |verdict| {
        mutants
            .iter()
            .filter(move |mutant| book.of(&mutant.name) == Some(verdict))
    };
    let missed: Vec<_> = of(Verdict::Missed).collect();
    let unexplained: Vec<_> = missed
        .iter()
        .filter(|mutant| !explained.contains(mutant.name.as_str()))
        .collect();
    println!(
        "mutants: of {}, {} noticed so far, {} not, of which {} unexplained; {} are not Rust, {} are \
         computed when the crate is built",
        mutants.len(),
        of(Verdict::Noticed).count(),
        missed.len(),
        unexplained.len(),
        bench.unbuilt.len(),
        bench.constant.len(),
    );
    for mutant in &unexplained {
        println!("{}", mutant.name);
    }
    Ok(if unexplained.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Does something for each item, twice as many at a time as there are processors: tests wait a lot.
pub(crate) fn workers<I: Sync, O: Send>(
    items: &[I],
    work: impl Fn(&I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let next = Mutex::new(items.iter());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..2 * thread::available_parallelism()?.get())
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let Some(item) = next.lock().unwrap().next() else {
                            return Ok(());
                        };
                        let output = work(item)?;
                        done.lock().unwrap().push(output);
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a worker does not panic"))
    })?;
    Ok(done.into_inner().unwrap())
}
