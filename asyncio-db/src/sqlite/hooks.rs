//! Functions of the program's that SQLite calls.

use std::cell::RefCell;

use asyncio_core::Result;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::types::ToSql;

use super::call::{Answer, Call};
use super::connection::Connection;
use super::desk::{Desk, Leave};
use super::error::SqliteError;
use super::worker;

type Tracer = Box<dyn FnMut(&str)>;

thread_local! {
    /// What is called with the statements of this thread's connection: SQLite's own place for it takes
    /// nothing but a plain function.
    static TRACER: RefCell<Option<Tracer>> = const { RefCell::new(None) };
}

/// They are called on the connection's thread, in the middle of a statement. One that panics is a failure
/// of the statement's, or of nobody's.
impl Connection {
    /// Makes a function of SQL (`db.create_function`), with so many parameters; -1 for any number.
    ///
    /// `deterministic` says that it gives the same for the same, so that it can be used in an index.
    ///
    /// ```
    /// use asyncio_core::{Result, run};
    /// use asyncio_db::sqlite::connect;
    ///
    /// # fn main() -> Result<()> {
    /// run(async {
    ///     let db = connect(":memory:").await?;
    ///     db.create_function("double", 1, true, |it| Ok(it.get::<i64>(0)? * 2)).await?;
    ///     let rows = db.execute_fetchall("select double(21)", ()).await?;
    ///     assert_eq!(rows[0].get::<i64>(0)?, 42);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, there is such a function or not.
    pub async fn create_function<F, T>(
        &self,
        name: &str,
        parameters: i32,
        deterministic: bool,
        function: F,
    ) -> Result<()>
    where
        F: Fn(&Context<'_>) -> rusqlite::Result<T> + Send + 'static,
        T: ToSql + 'static,
    {
        let name = name.to_owned();
        let mut flags = FunctionFlags::SQLITE_UTF8;
        flags.set(FunctionFlags::SQLITE_DETERMINISTIC, deterministic);
        self.call(move |db| db.create_scalar_function(name.as_str(), parameters, flags, function))
            .await
    }

    /// Has a function called after every so many instructions of SQLite's virtual machine
    /// (`db.set_progress_handler`); when it says true the statement is interrupted. `None` takes it away.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::{SqliteError, connect};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// db.set_progress_handler(1, Some(|| true)).await?;
    /// let error = db.execute("create table t (i)", ()).await.expect_err("it is interrupted");
    /// assert!(error.downcast_ref().is_some_and(SqliteError::is_interrupted));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute), and while rows are being read from the connection.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, it is set or not.
    pub async fn set_progress_handler<F>(
        &self,
        instructions: u32,
        function: Option<F>,
    ) -> Result<()>
    where
        F: FnMut() -> bool + Send + 'static,
    {
        // Ours, which stops what was cancelled, shares the place with it.
        self.alter(move |db| match function {
            Some(function) => worker::watch(db, instructions, function),
            None => worker::unwatch(db),
        })
        .await
    }

    /// Has a function called with each statement when it begins (`db.set_trace_callback`), its parameters
    /// filled in. `None` takes it away.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::connect;
    /// # use std::sync::mpsc::channel;
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// let (sender, statements) = channel();
    /// db.set_trace_callback(Some(move |sql: &str| drop(sender.send(sql.to_owned())))).await?;
    /// db.execute("select ?", (10,)).await?;
    /// assert_eq!(statements.try_recv()?, "select 10");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute), and while rows are being read from the connection.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, it is set or not.
    pub async fn set_trace_callback<F>(&self, function: Option<F>) -> Result<()>
    where
        F: FnMut(&str) + Send + 'static,
    {
        self.alter(move |db| {
            let wanted = function.is_some();
            let before = TRACER.replace(function.map(|it| Box::new(it) as Tracer));
            drop(before);
            let codes = TraceEventCodes::SQLITE_TRACE_STMT;
            db.trace_v2(codes, wanted.then_some(trace as fn(TraceEvent<'_>)));
            Ok(())
        })
        .await
    }

    /// Has a function asked whether a statement may do what it does (`db.set_authorizer`), when it is
    /// prepared. `None` takes it away.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_db::sqlite::{AuthAction, AuthContext, Authorization, connect};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// # let db = connect(":memory:").await?;
    /// # db.execute("create table t (i)", ()).await?;
    /// db.set_authorizer(Some(|it: AuthContext<'_>| match it.action {
    ///     AuthAction::DropTable { .. } => Authorization::Deny,
    ///     _ => Authorization::Allow,
    /// }))
    /// .await?;
    /// let error = db.execute("drop table t", ()).await.expect_err("it is denied");
    /// assert_eq!(error.to_string(), "not authorized");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`execute`](Self::execute), and while rows are being read from the connection.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, it is set or not.
    pub async fn set_authorizer<F>(&self, function: Option<F>) -> Result<()>
    where
        F: for<'a> FnMut(AuthContext<'a>) -> Authorization + Send + 'static,
    {
        self.alter(move |db| {
            // What was prepared before would not be asked about again.
            db.flush_prepared_statement_cache();
            db.authorizer(function)
        })
        .await
    }

    /// Calls a function that needs the connection for itself: no rows are being read from it.
    async fn alter<F>(&self, function: F) -> Result<()>
    where
        F: FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let call = |desk: &mut Desk<'_>, answer: Answer<()>| {
            if desk.has_cursors() {
                let error = SqliteError::programming("rows are being read from the connection");
                answer.give(Ok(Err(error)));
                return;
            }
            desk.leave(Leave::Alter(Box::new(move |db| {
                answer.give(Ok(function(db).map_err(Into::into)));
            })));
        };
        Call::leaving(self.queue(), call).await
    }
}

fn trace(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, unexpanded) = event {
        // Taken out while it runs, because it may do anything.
        let Some(mut tracer) = TRACER.take() else {
            return;
        };
        let sql = statement.expanded_sql();
        tracer(sql.as_deref().unwrap_or(unexpanded));
        TRACER.set(Some(tracer));
    }
}
