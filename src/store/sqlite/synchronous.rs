/// What a crash of the machine may take from a [`SqliteStore`](crate::SqliteStore).
///
/// A crash or a kill of the process alone takes nothing, whichever is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Nothing that was acknowledged: each commit waits for the disk. Commits that come at the
    /// same time wait together.
    #[default]
    Full,
    /// The last commits, together with what the handler wrote in them: no commit waits for the
    /// disk, and a request whose claim is lost can run a second time.
    Normal,
}

impl Synchronous {
    pub(super) const fn pragmas(self) -> &'static str {
        match self {
            // `fullfsync`: on macOS, `fsync` alone does not reach the disk.
            Self::Full => "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON",
            Self::Normal => "PRAGMA synchronous = NORMAL",
        }
    }
}
