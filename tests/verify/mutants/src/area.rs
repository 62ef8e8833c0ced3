/// A part of the source, and the tests that are about it: all of them for every mutant would take weeks.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) name: &'static str,
    /// What the paths of its files begin with, if no other area's beginning is longer.
    files: &'static [&'static str],
    /// What the names of its tests begin with.
    tests: &'static [&'static str],
}

impl Area {
    pub(crate) const ALL: [Self; 9] = [
        Self::new("server", &["src/"], &["wire::", "sockets::", "record::", "telemetry::"]),
        Self::new("client", &["src/client"], &["client::"]),
        Self::new("admin", &["src/admin"], &["admin::"]),
        Self::new("memory", &["src/store"], &["store_memory::", "store_conformance::", "wire::store"]),
        Self::new("testing", &["src/testing"], &["broken_stores::", "store_conformance::"]),
        Self::new("encryption", &["src/store/encrypted"], &["encryption::"]),
        Self::new("sqlite", &["src/store/sqlite"], &["sqlite::"]),
        Self::new("postgres", &["src/store/postgres"], &["postgres::"]),
        Self::new("redis", &["src/store/redis"], &["redis::"]),
    ];

    const fn new(
        name: &'static str,
        files: &'static [&'static str],
        tests: &'static [&'static str],
    ) -> Self {
        Self { name, files, tests }
    }

    /// Returns the area of a file.
    pub(crate) fn of(file: &str) -> &'static Self {
        let begins = |area: &Self| {
            let begun = area.files.iter().filter(|begin| file.starts_with(**begin));
            begun.map(|begin| begin.len()).max()
        };
        static ALL: [Area; 9] = Area::ALL;
        ALL.iter().max_by_key(|area| begins(area)).expect("there are some")
    }

    pub(crate) fn has_test(&self, test: &str) -> bool {
        self.tests.iter().any(|begin| test.starts_with(begin))
    }
}
