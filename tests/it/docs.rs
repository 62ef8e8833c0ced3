//! The pages of the project, as a reader follows them.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [root.to_owned(), root.join("docs")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// Returns the text outside of code blocks.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    text.split("```").step_by(2).collect()
}

/// Returns where the links of a page lead, those in line and those by reference.
fn links(prose: &str) -> Vec<String> {
    let inline = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let references = prose.lines().filter_map(|line| {
        let (_, target) = line.strip_prefix('[')?.split_once("]: ")?;
        Some(target)
    });
    inline.chain(references).map(str::to_owned).collect()
}

/// Returns the anchors of a page's headings, made as code hosts make them.
fn anchors(page: &Path) -> Vec<String> {
    let headings = prose(page);
    let headings = headings
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings
        .map(|heading| {
            let letters: String = heading.to_lowercase().chars().filter(kept).collect();
            letters.replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let mut followed = 0;
    for page in pages() {
        for link in links(&prose(&page)) {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{}: {link} leads nowhere", page.display());
            assert!(
                anchor.is_empty() || anchors(&target).contains(&anchor.to_owned()),
                "{}: {link}: no such heading, but {:?}",
                page.display(),
                anchors(&target)
            );
            followed += 1;
        }
    }
    assert!(followed > 10, "only {followed} links were found");
}

/// Returns the names of all tests, with the sources that they are in.
fn tests() -> String {
    fn read(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut text = String::new();
    read(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"),
        &mut text,
    );
    text
}

#[test]
fn every_row_of_the_comparison_has_a_test_or_a_source_for_each_of_its_cells() {
    let page = include_str!("../../docs/comparison.md");
    let tests = tests();
    let rows = |header: &str| -> Vec<Vec<&str>> {
        let table = page.split_once(header).expect("the table is there").1;
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
            .collect()
    };
    let compared = rows("| | tower-idempotency 0.1 |");
    let tested = rows("| row | test |");
    assert!(compared.len() > 15);
    for (compared, tested) in compared.iter().zip(&tested) {
        let [row, _, theirs @ ..] = &compared[..] else {
            panic!("{compared:?}")
        };
        assert_eq!(row, &tested[0]);
        assert_eq!(theirs.len(), 3, "{row}");
        for cell in theirs {
            let plain = ["none", "a service", "its own", "no handler of yours"];
            assert!(cell.ends_with(']') || plain.contains(cell), "{row}: {cell}");
        }
        for name in tested[1].split('`').skip(1).step_by(2) {
            let is_script = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).exists();
            assert!(
                is_script || tests.contains(&format!("fn {name}(")),
                "{row}: {name}"
            );
        }
    }
    assert_eq!(compared.len(), tested.len());
}
