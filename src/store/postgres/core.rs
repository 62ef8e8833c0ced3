use std::{fmt, sync::Arc, time::Duration};

use super::{
    Failure,
    cleanup::Cleanup,
    driver::{Driver, Param, Session},
    ear::Ear,
    failure::FailureKind,
    open::Open,
    repeats::Repeats,
    row::Row,
    statements::{IS_MADE, Statements},
    table::Table,
    waiters::Waiters,
};
use crate::{
    record_name::RecordName,
    runtime::{self, Instant},
};

/// What both modes stand on.
pub(super) struct Core {
    pub(super) driver: Box<dyn Driver>,
    pub(super) table: Table,
    pub(super) statements: Statements,
    pub(super) channel: String,
    pub(super) deadline: Duration,
    pub(super) transactional: bool,
    pub(super) open: Arc<Open>,
    pub(super) waiters: Arc<Waiters>,
    pub(super) ear: Ear,
    pub(super) cleanup: Cleanup,
}

impl Core {
    /// Runs one statement by itself, within the deadline.
    ///
    /// Every operation may be repeated, so one that was undone, or whose connection broke, is.
    pub(super) async fn query(
        &self,
        statement: &str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, Failure> {
        self.repeated(|| self.query_once(statement, params)).await
    }

    async fn query_once(&self, statement: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Failure> {
        let mut session = self.driver.session().await?;
        let answer = session.query(statement, params).await;
        give_back(session, &answer);
        answer
    }

    /// Makes the tables, unless they are there: to make the index again, PostgreSQL would wait for
    /// all who write now, and let nobody else write before that.
    pub(super) async fn migrate(&self) -> Result<(), Failure> {
        let relations = self.table.relations();
        let params = relations.each_ref().map(|name| Param::Text(name));
        let rows = self.query_once(IS_MADE, &params).await?;
        if rows.first().ok_or_else(Failure::foreign)?.bool(0)? {
            return Ok(());
        }
        self.script(&self.statements.schema).await
    }

    /// Runs a script by itself, within the deadline, and as often as a statement: all of it, or
    /// nothing.
    pub(super) async fn repeat_script(&self, script: &str) -> Result<(), Failure> {
        self.repeated(|| self.script(script)).await
    }

    /// Runs a script by itself: all of it, or nothing.
    pub(super) async fn script(&self, script: &str) -> Result<(), Failure> {
        let mut session = self.driver.session().await?;
        let answer = session.script(script).await;
        give_back(session, &answer);
        answer
    }

    async fn repeated<T, F>(&self, once: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.within_deadline(async {
            let mut repeats = Repeats::new();
            loop {
                match once().await {
                    Err(failure) => repeats.after(failure).await?,
                    answer => return answer,
                }
            }
        })
        .await
    }

    pub(super) async fn within_deadline<T>(
        &self,
        operation: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let until = Instant::now() + self.deadline;
        runtime::timeout_at(until, operation)
            .await
            .unwrap_or_else(|_| Err(Failure::late()))
    }

    /// What a message about a key says.
    pub(super) fn message(name: &RecordName) -> String {
        format!("{name:x}")
    }
}

/// Gives a connection back that is idle. After a failure it may not be, or be of no more use.
fn give_back<T>(session: Box<dyn Session>, answer: &Result<T, Failure>) {
    let idle = match answer {
        Ok(_) => true,
        Err(failure) => failure.kind == FailureKind::Conflict,
    };
    if idle {
        session.give_back();
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.table)
            .field("transactional", &self.transactional)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
