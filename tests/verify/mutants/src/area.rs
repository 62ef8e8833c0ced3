/// A part of the source, and the tests that are about it, which are tried first.
#[derive(Debug)]
pub(crate) struct Area {
    pub(crate) name: &'static str,
    /// What the paths of its files begin with, if no other area's beginning is longer.
    files: &'static str,
    /// What the names of its tests begin with.
    tests: &'static [&'static str],
}

pub(crate) static AREAS: [Area; 9] = [
    Area::new(
        "server",
        "src/",
        &[
            "wire::",
            "sockets::",
            "record::",
            "telemetry::",
            "admin::",
            "redis::outages::what_",
            "postgres::transactions::the_log_",
        ],
    ),
    Area::new("client", "src/client", &["client::"]),
    Area::new("admin", "src/admin", &["admin::"]),
    Area::new(
        "memory",
        "src/store",
        &[
            "store_memory::",
            "store_conformance::",
            "admin::",
            "telemetry::",
            "wire::secrets::",
            "redis::wakeups::",
        ],
    ),
    Area::new(
        "testing",
        "src/testing",
        &[
            "broken_stores::",
            "store_conformance::",
            "admin::broken::",
            "admin::conformance::the_memory",
        ],
    ),
    Area::new(
        "encryption",
        "src/store/encrypted",
        &["encryption::", "admin::conformance"],
    ),
    Area::new(
        "sqlite",
        "src/store/sqlite",
        &["sqlite::", "admin::conformance::sqlite", "admin::told"],
    ),
    Area::new(
        "postgres",
        "src/store/postgres",
        &["postgres::", "admin::conformance::postgres", "admin::told"],
    ),
    Area::new(
        "redis",
        "src/store/redis",
        &[
            "redis::",
            "admin::redis",
            "admin::conformance::redis",
            "admin::told",
        ],
    ),
];

impl Area {
    const fn new(name: &'static str, files: &'static str, tests: &'static [&'static str]) -> Self {
        Self { name, files, tests }
    }

    /// Returns the area of a file.
    pub(crate) fn of(file: &str) -> &'static Self {
        let fitting = AREAS.iter().filter(|area| file.starts_with(area.files));
        fitting
            .max_by_key(|area| area.files.len())
            .expect("all are below src/")
    }

    pub(crate) fn has_test(&self, test: &str) -> bool {
        self.tests.iter().any(|begin| test.starts_with(begin))
    }
}
