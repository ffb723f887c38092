//! Every public operation is cancelled, and dropped, at every point at which it can be.
//!
//! An operation is polled so often and then ended; with one poll more each round, until a round is reached
//! in which it has ended by itself. After each round its connection has to be as usable as before.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use asyncio_core::{Result, current_task};
use asyncio_db::sqlite::{
    AuthContext, Authorization, Behavior, Connection, Pool, connect, create_pool,
};
use futures::TryStreamExt;

use crate::support::{Folder, everywhere};

type Boxed<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// Its task is cancelled while it waits.
    Cancelled,
    /// Its future is dropped while it waits.
    Dropped,
    /// Its future is dropped a little later, when the thread is in the middle of it, or done.
    DroppedLater,
    /// Its task is cancelled a little later.
    CancelledLater,
}

/// Polls so often, and then ends it; whether it has ended by itself.
async fn end_at(point: usize, how: How, mut future: Boxed<'_>) -> Option<Result<()>> {
    let mut polls = 0;
    let later = matches!(how, How::DroppedLater | How::CancelledLater);
    let cancels = matches!(how, How::Cancelled | How::CancelledLater);
    let mut polled = poll_fn(|cx| {
        if polls == point {
            return Poll::Ready(None);
        }
        if let Poll::Ready(result) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(result));
        }
        polls += 1;
        if polls == point {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await;
    if polled.is_none() && later {
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    if polled.is_none() && cancels {
        let task = current_task().expect("tests run in tasks");
        task.cancel();
        let ended = future.as_mut().await;
        task.uncancel();
        // What was done already when the request came is done.
        if !ended.as_ref().is_err_and(|error| error.is_cancelled()) {
            polled = Some(ended);
        }
    }
    drop(future);
    polled
}

/// Ends an operation at every point in every way; how many points there were.
async fn at_every_point(
    db: &Connection,
    operation: impl for<'a> Fn(&'a Connection) -> Boxed<'a>,
) -> Result<usize> {
    let mut points = 0;
    for how in [
        How::Dropped,
        How::Cancelled,
        How::DroppedLater,
        How::CancelledLater,
    ] {
        for point in 0.. {
            assert!(point < 500, "it has no end");
            let ended = end_at(point, how, operation(db)).await;
            let whole = ended.transpose();
            let whole = whole.inspect_err(|error| error.add_note(format!("{how:?} at {point}")))?;
            is_usable(db)
                .await
                .inspect_err(|error| error.add_note(format!("after {how:?} at {point}")))?;
            points += 1;
            if whole.is_some() && point > 0 && how != How::CancelledLater && how != How::Cancelled {
                break;
            }
            if whole.is_some() && point > 12 {
                break;
            }
        }
    }
    Ok(points)
}

/// No transaction is open, no rows are being read, and what is asked for is answered.
async fn is_usable(db: &Connection) -> Result<()> {
    assert!(!db.settled().await?, "a transaction is open");
    let rows = db.execute_fetchall("select 6 * ?", (7,)).await?;
    assert_eq!(rows[0].get::<i64>(0)?, 42);
    db.executescript("create table scratch (i); drop table scratch")
        .await?;
    // What was not committed is not there, and what was is there wholly.
    let counted = db
        .execute_fetchall("select count(*) from pairs", ())
        .await?;
    assert_eq!(counted[0].get::<i64>(0)? % 2, 0, "half a pair");
    Ok(())
}

async fn database(folder: &Folder) -> Result<Connection> {
    let db = connect(folder.db()).wal(true).await?;
    db.executescript(
        "create table pairs (i);
         create table many (i integer primary key);
         insert into many with recursive t(i) as (select 1 union all select i + 1 from t limit 300)
         select i from t;",
    )
    .await?;
    Ok(db)
}

const PAIR: [(i64,); 2] = [(1,), (2,)];
const INSERT: &str = "insert into pairs values (?)";

#[test]
fn statements() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        let mut points = 0;
        points += at_every_point(&db, |db| {
            Box::pin(async {
                db.execute("select 1", ()).await?;
                Ok(())
            })
        })
        .await?;
        points += at_every_point(&db, |db| {
            Box::pin(async {
                db.execute("insert into pairs values (1), (2)", ()).await?;
                Ok(())
            })
        })
        .await?;
        points += at_every_point(&db, |db| {
            Box::pin(async {
                db.executemany(INSERT, PAIR).await?;
                Ok(())
            })
        })
        .await?;
        points += at_every_point(&db, |db| {
            Box::pin(db.executescript(
                "create table if not exists s (i); insert into pairs values (1), (2);",
            ))
        })
        .await?;
        points += at_every_point(&db, |db| {
            Box::pin(async {
                db.execute_insert("insert into pairs values (1), (2)", ())
                    .await?;
                Ok(())
            })
        })
        .await?;
        points += at_every_point(&db, |db| {
            Box::pin(async {
                db.execute_fetchall("select * from many", ()).await?;
                Ok(())
            })
        })
        .await?;
        assert!(points >= 6 * 4, "{points}");
        Ok(())
    })
}

#[test]
fn cursors() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let mut cursor = db.execute("select * from many", ()).await?;
                while cursor.fetchone().await?.is_some() {}
                Ok(())
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let mut cursor = db.execute("select * from many", ()).await?;
                assert_eq!(cursor.fetchmany(200).await?.len(), 200);
                assert_eq!(cursor.fetchall().await?.len(), 100);
                Ok(())
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let cursor = db.execute("select * from many", ()).await?;
                let rows: Vec<_> = cursor.try_collect().await?;
                assert_eq!(rows.len(), 300);
                Ok(())
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let mut cursor = db.cursor();
                cursor.execute("select 1", ()).await?;
                cursor.executemany(INSERT, PAIR).await?;
                cursor.executescript("select 1; select 2").await
            })
        })
        .await?;
        Ok(())
    })
}

#[test]
fn transactions() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        for behavior in [Behavior::Deferred, Behavior::Immediate, Behavior::Exclusive] {
            at_every_point(&db, move |db| {
                Box::pin(async move {
                    let transaction = db.transaction(behavior).await?;
                    transaction.execute(INSERT, (1,)).await?;
                    assert!(transaction.is_active().await?);
                    transaction.execute_insert(INSERT, (2,)).await?;
                    transaction.commit().await
                })
            })
            .await?;
        }
        at_every_point(&db, |db| {
            Box::pin(async {
                let mut transaction = db.transaction(Behavior::Immediate).await?;
                transaction.execute(INSERT, (1,)).await?;
                let inner = transaction.transaction().await?;
                inner.executemany(INSERT, PAIR).await?;
                inner.rollback().await?;
                transaction
                    .with_transaction(async |inner| {
                        inner.executescript("insert into pairs values (2)").await
                    })
                    .await?;
                transaction
                    .execute_fetchall("select * from pairs", ())
                    .await?;
                transaction
                    .call(|db| db.execute("delete from pairs", []))
                    .await?;
                transaction.commit().await
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let transaction = db.transaction(Behavior::Immediate).await?;
                transaction.execute(INSERT, (1,)).await?;
                transaction.rollback().await
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(
                db.with_transaction(Behavior::Immediate, async |transaction| {
                    transaction.execute(INSERT, (1,)).await?;
                    transaction.execute(INSERT, (2,)).await?;
                    Ok(())
                }),
            )
        })
        .await?;
        Ok(())
    })
}

#[test]
fn the_rest_of_a_connection() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                db.commit().await?;
                db.rollback().await?;
                db.settled().await?;
                db.set_isolation_level(None).await
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let one = db.call(|db| db.query_row("select 1", [], |row| row.get::<_, i64>(0)));
                assert_eq!(one.await?, 1);
                Ok(())
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                db.create_function("f", 0, true, |_| Ok(1)).await?;
                db.set_progress_handler(10, Some(|| false)).await?;
                db.set_trace_callback(Some(|_: &str| ())).await?;
                db.set_authorizer(Some(|_: AuthContext<'_>| Authorization::Allow))
                    .await
            })
        })
        .await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let lines: Vec<String> = db.iterdump().try_collect().await?;
                assert!(lines.len() > 300);
                Ok(())
            })
        })
        .await?;
        Ok(())
    })
}

#[test]
fn backups() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        at_every_point(&db, |db| {
            Box::pin(async {
                let copy = connect(":memory:").await?;
                db.backup(&copy).pages(1).await?;
                let rows = copy.execute_fetchall("select * from many", ()).await?;
                assert_eq!(rows.len(), 300);
                copy.close().await
            })
        })
        .await?;
        // The target is usable as well, however the backup ends.
        let source = connect(":memory:").await?;
        source.execute("create table pairs (i)", ()).await?;
        let source = &Arc::new(source);
        let target = connect(":memory:").await?;
        target.execute("create table pairs (i)", ()).await?;
        at_every_point(&target, |target| {
            let source = Arc::clone(source);
            Box::pin(async move { source.backup(target).await })
        })
        .await?;
        Ok(())
    })
}

#[test]
fn opening_and_closing() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        let path = folder.db();
        at_every_point(&db, |_| {
            let path = path.clone();
            Box::pin(async move {
                let other = connect(path)
                    .wal(true)
                    .isolation_level(Behavior::Deferred)
                    .await?;
                other.execute("select 1", ()).await?;
                other.close().await
            })
        })
        .await?;
        Ok(())
    })
}

#[test]
fn pools() -> Result<()> {
    everywhere(async |folder| {
        let db = database(&folder).await?;
        let pool = create_pool(folder.db()).await?;
        at_every_point(&db, |_| {
            let pool = pool.clone();
            Box::pin(async move {
                pool.read().await?.execute("select * from many", ()).await?;
                let writer = pool.write().await?;
                let transaction = writer.transaction(Behavior::Immediate).await?;
                transaction.execute(INSERT, (1,)).await?;
                drop(transaction);
                drop(writer);
                pool.with_write(async |transaction| {
                    transaction.executemany(INSERT, PAIR).await?;
                    Ok(())
                })
                .await
            })
        })
        .await?;
        let path = folder.db();
        at_every_point(&db, |_| {
            let path = path.clone();
            Box::pin(async move {
                let pool: Pool = create_pool(path).await?;
                pool.read().await?.execute("select 1", ()).await?;
                pool.close().await
            })
        })
        .await?;
        pool.close().await
    })
}
