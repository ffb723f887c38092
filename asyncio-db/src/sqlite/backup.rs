//! Copying a database that is in use (`sqlite3.Connection.backup`).

use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use asyncio_core::Result;
use rusqlite::backup::{Backup as Copying, StepResult};

use super::call::Call;
use super::connection::{Handle, Session};
use super::desk::{Desk, Leave};
use super::error::SqliteError;
use super::worker;

/// A backup that is to be made, see [`Connection::backup`](super::Connection::backup). It is awaited.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sqlite::connect;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let (db, copy) = (connect(":memory:").await?, connect(":memory:").await?);
///     db.execute("create table t (i)", ()).await?;
///     db.backup(&copy).pages(10).progress(|it| assert!(it.remaining <= it.total)).await?;
///     copy.execute("select i from t", ()).await?;
///     Ok(())
/// })
/// # }
/// ```
///
/// Between two steps other calls of the connection are done; those of the target wait until it ends. What
/// is written to the source meanwhile, by this connection, is in the copy too; when others write, the copy
/// begins anew.
///
/// # Errors
///
/// [`SqliteError`] where one of the two fails, is closed, or where the target is the source or has rows
/// that are being read; [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled
/// meanwhile.
///
/// # Cancel safety
///
/// When it is cancelled or dropped, it ends after the step that is being done. The target is then as it
/// was.
#[must_use = "nothing is copied until it is awaited"]
pub struct Backup<'a> {
    source: &'a Session,
    target: &'a Session,
    pages: i32,
    name: String,
    pause: Duration,
    progress: Option<Report>,
}

type Report = Box<dyn FnMut(Progress) + Send>;

/// How far a backup is, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// So many are left.
    pub remaining: u64,
    /// So many there are.
    pub total: u64,
}

impl<'a> Backup<'a> {
    pub(super) fn new(source: &'a Session, target: &'a Session) -> Self {
        Self {
            source,
            target,
            pages: -1,
            name: "main".to_owned(),
            pause: Duration::from_millis(250),
            progress: None,
        }
    }

    /// So many pages are copied in a step; all in one by default.
    pub const fn pages(mut self, pages: u32) -> Self {
        self.pages = match pages {
            0 => -1,
            // More than any database has.
            1..=0x7FFF_FFFF => pages.cast_signed(),
            _ => i32::MAX,
        };
        self
    }

    /// Which of the source's databases is copied: `"main"` by default, `"temp"`, or one that is attached.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// So long it waits when it finds a lock taken (`sleep`); 250 milliseconds by default.
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Has a function called after each step, on the source's thread.
    pub fn progress(mut self, function: impl FnMut(Progress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(function));
        self
    }

    async fn make(self) -> Result<()> {
        let Self {
            source,
            target,
            pages,
            name,
            pause,
            mut progress,
        } = self;
        let (a, b) = (&source.handle, &target.handle);
        if Arc::ptr_eq(a, b) {
            let error = SqliteError::programming("a database cannot be the copy of itself");
            return Err(error.into());
        }
        // Always in the same order, so that no two backups wait for each other.
        let (first, second) = if Arc::as_ptr(a) < Arc::as_ptr(b) {
            (a, b)
        } else {
            (b, a)
        };
        let _first = first.backup.guard().await?;
        let _second = second.backup.guard().await?;
        let mut borrowed = borrow(b).await?;
        let copy = move |desk: &mut Desk<'_>| {
            let Some(to) = &mut borrowed.connection else {
                return Err(SqliteError::closed());
            };
            copy(desk, to, &name, pages, pause, &mut progress)
        };
        source.call(copy).await
    }
}

impl<'a> IntoFuture for Backup<'a> {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn StdFuture<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup")
            .field("name", &self.name)
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}

/// A connection away from its thread, which waits for it. Dropping this gives it back.
struct Borrowed {
    connection: Option<rusqlite::Connection>,
    back: SyncSender<rusqlite::Connection>,
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            // There is room for the one. Where the thread is gone, so is the connection.
            let _ = self.back.send(connection);
        }
    }
}

/// Has a connection leave its thread.
fn borrow(handle: &Handle) -> Call<Borrowed> {
    Call::leaving(&handle.queue, |desk, answer| {
        if desk.has_cursors() {
            let error = SqliteError::programming("the target of the backup is in use");
            answer.give(Ok(Err(error)));
            return;
        }
        desk.leave(Leave::Lend(Box::new(move |connection| {
            let (back, returned): (_, Receiver<_>) = sync_channel(1);
            answer.give(Ok(Ok(Borrowed {
                connection: Some(connection),
                back,
            })));
            // An error says that it was lost, in a panic.
            returned.recv().ok()
        })));
    })
}

/// Copies, on the source's thread.
fn copy(
    desk: &mut Desk<'_>,
    to: &mut rusqlite::Connection,
    name: &str,
    pages: i32,
    pause: Duration,
    progress: &mut Option<Report>,
) -> Result<(), SqliteError> {
    let copying = Copying::new_with_names(desk.connection(), name, to, "main")?;
    loop {
        if worker::is_stopped() {
            return Err(SqliteError::interrupted());
        }
        let step = copying.step(pages)?;
        if let Some(report) = progress {
            let now = copying.progress();
            report(Progress {
                remaining: u64::try_from(now.remaining).unwrap_or_default(),
                total: u64::try_from(now.pagecount).unwrap_or_default(),
            });
        }
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => desk.serve_others(Duration::ZERO),
            // Somebody writes.
            _ => desk.serve_others(pause),
        }
    }
}
