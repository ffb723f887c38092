//! What is left in the middle: sessions and connections are as usable as before, or say what is to be done.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use asyncio_core::{Result, create_task, sleep};
use asyncio_db::sql::{
    InstanceState, PendingRollbackError, ResourceClosedError, Session, func, insert, select, text,
};

use crate::support::{Db, Item, User, both, error_of, item, user};

/// Polls a future so many times and drops it; whether it was over by then.
async fn poll_for<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for time in 0..times {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        if time + 1 < times {
            // Until something has happened, most probably; what matters is that all points are reached.
            sleep(0.0005).await.ok()?;
        }
    }
    None
}

async fn count(db: &Db) -> Result<i64> {
    let mut connection = db.engine.connect().await?;
    Ok(connection
        .scalar(select::<Item>().columns(func::count()))
        .await?
        .unwrap_or(-1))
}

/// At whichever point a flush is dropped: the session says that it has to be rolled back, and is whole then.
#[test]
fn a_flush_that_is_dropped_has_to_be_rolled_back() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let old = session.add(item("old", 0));
        session.commit().await?;
        let mut over = false;
        for times in 1..200 {
            session.refresh(&old).await?;
            session.commit().await?;
            let new = session.add(item("new", 1));
            old.edit().rank = Some(5);
            match poll_for(times, session.flush()).await {
                Some(flushed) => {
                    flushed?;
                    over = true;
                    session.rollback().await?;
                }
                None if session.is_active() => {
                    // It had not begun: nothing is lost.
                    assert_eq!(new.state(), InstanceState::Pending);
                    session.rollback().await?;
                }
                None => {
                    error_of::<PendingRollbackError>(session.execute(text("SELECT 1")).await);
                    error_of::<PendingRollbackError>(session.commit().await);
                    session.rollback().await?;
                }
            }
            assert_eq!(
                (new.state(), old.state()),
                (InstanceState::Detached, InstanceState::Persistent)
            );
            assert_eq!((old.get().rank, count(&db).await?), (Some(0), 1));
            if over {
                break;
            }
        }
        assert!(over, "it never came to its end");
        Ok(())
    })
}

/// At whichever point a commit is dropped: all is there or nothing, and the session can be used again.
#[test]
fn a_commit_that_is_dropped_has_done_all_or_nothing() -> Result<()> {
    both(async |db| {
        let mut over = false;
        for times in 1..200 {
            let mut session = db.session();
            session.add_all([item("a", 1), item("b", 2)]);
            match poll_for(times, session.commit()).await {
                Some(committed) => {
                    committed?;
                    over = true;
                }
                None => session.rollback().await?,
            }
            // The next one sees what has come of it, whoever has the connection by then.
            session.execute(text("SELECT 1")).await?;
            let there = settled_count(&db).await?;
            assert!(there == 0 || there == 2, "{there}");
            assert!(!over || there == 2);
            session.rollback().await?;
            db.engine
                .begin_with(async |it| {
                    it.execute(asyncio_db::sql::delete::<Item>()).await?;
                    Ok(())
                })
                .await?;
            if over {
                break;
            }
        }
        assert!(over, "it never came to its end");
        Ok(())
    })
}

/// How many there are once whatever was being committed is.
async fn settled_count(db: &Db) -> Result<i64> {
    let mut transaction = db.engine.begin().await?;
    if !db.is_sqlite() {
        // Who is still committing has it.
        transaction
            .execute(text("LOCK TABLE items IN ACCESS EXCLUSIVE MODE"))
            .await?;
    }
    let count = transaction
        .scalar(select::<Item>().columns(func::count()))
        .await?;
    transaction.rollback().await?;
    Ok(count.unwrap_or(-1))
}

/// Ports `test_engine.AsyncCursorEventCancelledErrorTest.test_cancelled_error_invalidates` in what it is for: a
/// task that is cancelled leaves nothing behind, and its connection is whole.
#[test]
fn a_task_that_is_cancelled_leaves_nothing_behind() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        for _ in 0..5 {
            let task = create_task({
                let engine = engine.clone();
                async move {
                    let mut connection = engine.connect().await?;
                    connection.execute(insert().row(&item("x", 1))).await?;
                    let mut rows = connection.stream(endless()).await?;
                    while rows.next().await?.is_some() {}
                    drop(rows);
                    connection.commit().await
                }
            });
            sleep(0.005).await?;
            task.cancel();
            assert!(task.await.expect_err("it has no end").is_cancelled());
            let mut next = engine.connect().await?;
            let there = next.scalar(select::<Item>().columns(func::count())).await?;
            assert_eq!(there, Some(0));
        }
        Ok(())
    })
}

fn endless() -> asyncio_db::sql::Text<asyncio_db::sql::Anything> {
    text("WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n")
}

/// A query that is cancelled in a transaction: SQLite goes on, PostgreSQL has to be rolled back.
#[test]
fn a_query_that_is_cancelled_is_over() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(item("x", 1));
        session.flush().await?;
        let slow = text(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
        );
        assert!(
            asyncio_core::timeout(0.02, session.execute(slow))
                .await
                .is_err()
        );
        if db.is_sqlite() {
            assert_eq!(
                session
                    .scalar(select::<Item>().columns(func::count()))
                    .await?,
                Some(1)
            );
            session.commit().await?;
            assert_eq!(count(&db).await?, 1);
        } else {
            assert!(session.execute(text("SELECT 1")).await.is_err());
            session.rollback().await?;
            assert_eq!(count(&db).await?, 0);
        }
        session.execute(text("SELECT 1")).await?;
        Ok(())
    })
}

/// A statement that writes and is cancelled takes SQLite's transaction with it: nothing that comes later is
/// taken for a part of it, let alone committed by itself.
#[test]
fn a_transaction_that_is_gone_is_not_gone_on_with() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        connection.execute(insert().row(&item("x", 1))).await?;
        let slow = "INSERT INTO users (name) WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                    SELECT 'x' FROM n";
        assert!(
            asyncio_core::timeout(0.02, connection.execute(text(slow)))
                .await
                .is_err()
        );
        assert!(
            connection
                .execute(insert().row(&item("y", 2)))
                .await
                .is_err()
        );
        let committed = connection.commit().await;
        error_of::<PendingRollbackError>(committed);
        assert_eq!(count(&db).await?, 0);
        connection.execute(insert().row(&item("y", 2))).await?;
        connection.commit().await?;
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
}

/// A savepoint whose end is dropped at any point: the transaction is undone as a whole, or goes on.
#[test]
fn a_savepoint_whose_end_is_dropped() -> Result<()> {
    both(async |db| {
        let mut over = false;
        for times in 1..200 {
            let mut session = db.session();
            session.add(item("outer", 1));
            let nested = begin_nested(&mut session).await?;
            over |= poll_for(times, nested.commit())
                .await
                .transpose()?
                .is_some();
            match session.commit().await {
                Ok(()) => {
                    let there = settled_count(&db).await?;
                    assert_eq!(there, if over { 2 } else { 1 });
                }
                Err(error) => {
                    assert!(
                        error.is::<ResourceClosedError>() || error.is::<PendingRollbackError>(),
                        "{error:?}"
                    );
                    session.rollback().await?;
                    assert_eq!(settled_count(&db).await?, 0);
                }
            }
            session.execute(asyncio_db::sql::delete::<Item>()).await?;
            session.commit().await?;
            if over {
                break;
            }
        }
        assert!(over, "it never came to its end");
        Ok(())
    })
}

async fn begin_nested(session: &mut Session) -> Result<asyncio_db::sql::SessionTransaction<'_>> {
    let mut nested = session.begin_nested().await?;
    nested.add(item("inner", 2));
    Ok(nested)
}

/// Who waits for a connection and is cancelled has lost a place in the line and nothing else.
#[test]
fn who_stops_waiting_has_lost_nothing() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        let out = engine.connect().await?;
        for _ in 0..20 {
            assert!(poll_for(2, engine.connect()).await.is_none());
        }
        drop(out);
        let mut next = engine.connect().await?;
        next.execute(select::<User>()).await?;
        assert_eq!(engine.pool_status().checked_out, 1);
        Ok(())
    })
}

/// A session that goes, with whatever is in it, leaves nothing behind.
#[test]
fn a_session_that_goes_is_rolled_back() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        let maker = asyncio_db::sql::async_sessionmaker(&engine);
        for _ in 0..3 {
            let mut session = maker.session();
            session.add(user("u"));
            let mut nested = session.begin_nested().await?;
            nested.add(user("v"));
            nested.flush().await?;
        }
        let mut session = maker.session();
        assert!(session.scalars(select::<User>()).await?.all().is_empty());
        Ok(())
    })
}
