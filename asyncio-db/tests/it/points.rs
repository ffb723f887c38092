//! Ends an operation at every point at which it can be ended.
//!
//! An operation is polled so often, and then it is cancelled, or dropped, or dropped when it is woken the
//! next time; with one poll more each round, until a round is reached in which it has ended by itself.
//! After each round its connection has to be as if nothing had been.

use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::Poll;

use asyncio_core::{Result, current_task, sleep};
use asyncio_db::pg::Connection;

use crate::support::Server;

/// What an operation may be on.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// How an operation is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Its task is cancelled while it waits.
    Cancelled,
    /// Its future is dropped while it waits.
    Dropped,
    /// Its future is dropped when it has been woken, in the place of being polled.
    DroppedWhenWoken,
    /// Its future is dropped a little later, when the server is in the middle of it.
    DroppedLater,
}

pub(crate) const ALL: [How; 4] = [
    How::Cancelled,
    How::Dropped,
    How::DroppedWhenWoken,
    How::DroppedLater,
];

/// What has become of an operation.
#[derive(Debug)]
pub(crate) enum Ended<T> {
    /// It has ended by itself.
    Whole(Result<T>),
    /// It was cancelled, or dropped.
    Left,
}

/// Polls so often, and then ends it.
pub(crate) async fn end_at<T>(point: usize, how: How, mut future: Boxed<'_, T>) -> Ended<T> {
    let mut polls = 0;
    let polled = poll_fn(|cx| {
        if how == How::DroppedWhenWoken && polls >= point {
            return Poll::Ready(None);
        }
        if how != How::Cancelled && point == 0 {
            return Poll::Ready(None);
        }
        if let Poll::Ready(value) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(value));
        }
        polls += 1;
        match how {
            How::Cancelled if polls == point => {
                current_task().expect("tests run in tasks").cancel();
                Poll::Pending
            }
            How::Dropped | How::DroppedLater if polls == point => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await;
    if how == How::DroppedLater && polled.is_none() {
        // Nobody polls it meanwhile.
        tokio::time::sleep(std::time::Duration::from_micros(700)).await;
    }
    drop(future);
    if how == How::Cancelled
        && let Some(task) = current_task()
        && task.cancelling() > 0
    {
        task.uncancel();
    }
    match polled {
        Some(Err(error)) if error.is_cancelled() => Ended::Left,
        Some(result) => Ended::Whole(result),
        None => Ended::Left,
    }
}

/// Ends an operation on a connection at every point, in every way.
///
/// `check` is asked each time whether what the operation was about is as it has to be: by another
/// connection, with whether the operation has ended by itself.
pub(crate) async fn everywhere_within(
    server: &Server,
    operation: impl for<'a> Fn(&'a mut Connection) -> Boxed<'a, ()>,
    check: impl for<'a> Fn(&'a mut Connection, bool) -> Boxed<'a, ()>,
) -> Result<usize> {
    let mut observer = server.connection().await?;
    let mut connection = server.connection().await?;
    let mut points = 0;
    for how in ALL {
        for point in 0.. {
            assert!(point < 2000, "it has no end");
            if how == How::Cancelled && point == 0 {
                // Before it is polled for the first time it is not there to be cancelled.
                continue;
            }
            let ended = end_at(point, how, operation(&mut connection)).await;
            let whole = match ended {
                Ended::Whole(result) => {
                    result.inspect_err(|error| error.add_note(format!("{how:?} at {point}")))?;
                    true
                }
                Ended::Left => false,
            };
            is_as_before(&mut connection, &mut observer, point)
                .await
                .inspect_err(|error| error.add_note(format!("{how:?} at {point}")))?;
            check(&mut observer, whole)
                .await
                .inspect_err(|error| error.add_note(format!("{how:?} at {point}")))?;
            points += 1;
            if whole {
                break;
            }
        }
    }
    if std::env::var_os("ASYNCIO_DB_FULL").is_some() {
        // Who cannot be told is not told.
        let told = format!("  R2: an operation ended at {points} points, 0 traces of it\n");
        let _ = std::io::stderr().write_all(told.as_bytes());
    }
    Ok(points)
}

/// Asks a connection, and the server about it, whether anything is left of what was ended.
pub(crate) async fn is_as_before(
    connection: &mut Connection,
    observer: &mut Connection,
    point: usize,
) -> Result<()> {
    for tag in 0..3 {
        let tag = format!("{point} {tag}");
        // Long enough for a signal that comes late to find it.
        let query = "SELECT $1::text, pg_sleep(0.0003)";
        let answer: Option<String> = connection.fetchval(query, (&tag,)).await?;
        assert_eq!(answer, Some(tag));
    }
    assert!(!connection.is_in_transaction());
    let pid = connection.get_server_pid();
    let query = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    for attempt in 0.. {
        let state: Option<String> = observer.fetchval(query, (pid,)).await?;
        if state.as_deref() == Some("idle") {
            break;
        }
        // It says that it is ready before it notes that it is idle.
        assert!(attempt < 100, "the server says that it is {state:?}");
        sleep(0.001).await?;
    }
    Ok(())
}
