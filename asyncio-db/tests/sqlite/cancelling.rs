//! What is cancelled or dropped stops, and nothing else does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{
    CancelledError, Result, Runner, Task, TimeoutError, create_task, sleep, timeout,
};
use asyncio_db::sqlite::{Behavior, Connection, SqliteError, connect};

use crate::support::{error_of, everywhere, fails, until};

/// A statement that never ends.
pub(crate) const ENDLESS: &str =
    "with recursive t(i) as (select 1 union all select i + 1 from t) select count(*) from t";
/// The same, writing.
const ENDLESS_INSERT: &str = "insert into t \
    with recursive t(i) as (select 1 union all select i + 1 from t) select i from t";

/// A task that executes something, and has begun to.
async fn begun(db: &Arc<Connection>, sql: &'static str) -> Result<Task<()>> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let begun = Arc::new(AtomicBool::new(false));
    let say = Arc::clone(&begun);
    let name = format!("begun_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    db.create_function(&name, 0, false, move |_| {
        say.store(true, Ordering::Relaxed);
        Ok(true)
    })
    .await?;
    let task = create_task({
        let db = Arc::clone(db);
        async move {
            let sql = format!("{sql} where {name}() or i > 0");
            db.execute(&sql, ()).await?;
            Ok(())
        }
    });
    until(|| begun.load(Ordering::Relaxed)).await?;
    Ok(task)
}

async fn cancelled(task: Task<()>) -> Result<()> {
    let asked = Instant::now();
    task.cancel();
    let ended = task.await;
    assert!(ended.is_err_and(|error| error.is_cancelled()));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    Ok(())
}

#[test]
fn an_endless_statement_is_cancelled() -> Result<()> {
    everywhere(async |_| {
        let db = Arc::new(connect(":memory:").await?);
        let task = begun(&db, ENDLESS).await?;
        cancelled(task).await?;
        let rows = db.execute_fetchall("select 1", ()).await?;
        assert_eq!(rows[0].get::<i64>(0)?, 1);
        Ok(())
    })
}

#[test]
fn a_time_limit_limits_a_statement() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let limited = timeout(0.01, db.execute(ENDLESS, ())).await;
        assert!(limited.is_err_and(|error| error.is::<TimeoutError>()));
        // Also from outside, where the future is dropped.
        let dropped = tokio::time::timeout(Duration::from_millis(10), db.execute(ENDLESS, ()));
        assert!(dropped.await.is_err());
        let rows = db.execute_fetchall("select 1", ()).await?;
        assert_eq!(rows[0].get::<i64>(0)?, 1);
        Ok(())
    })
}

/// Calls that wait behind the one that is cancelled are done, and rows that are being read are read on.
#[test]
fn others_are_not_interrupted() -> Result<()> {
    everywhere(async |_| {
        let db = Arc::new(connect(":memory:").await?);
        let numbers = "with recursive t(i) as (select 1 union all select i + 1 from t limit 1000) \
            select i from t";
        let mut cursor = db.execute(numbers, ()).await?;
        for round in 0..20 {
            let task = begun(&db, ENDLESS).await?;
            let waiting: Vec<_> = (0..10)
                .map(|i| {
                    let db = Arc::clone(&db);
                    create_task(async move { db.execute_fetchall("select ?", [i]).await })
                })
                .collect();
            for _ in 0..round % 4 {
                sleep(0).await?;
            }
            cancelled(task).await?;
            for (i, waiting) in (0..).zip(waiting) {
                assert_eq!(waiting.await?[0].get::<i32>(0)?, i);
            }
        }
        let mut last = 0;
        while let Some(row) = cursor.fetchone().await? {
            last += 1;
            assert_eq!(row.get::<i64>(0)?, last);
        }
        assert_eq!(last, 1000);
        Ok(())
    })
}

#[test]
fn what_has_not_begun_never_begins() -> Result<()> {
    everywhere(async |_| {
        let db = Arc::new(connect(":memory:").await?);
        db.execute("create table t (i)", ()).await?;
        let first = begun(&db, ENDLESS).await?;
        let second = create_task({
            let db = Arc::clone(&db);
            async move {
                db.execute("insert into t values (1)", ()).await?;
                Ok(())
            }
        });
        sleep(0.01).await?;
        cancelled(second).await?;
        cancelled(first).await?;
        assert!(!db.settled().await?);
        assert!(db.execute_fetchall("select * from t", ()).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_wait_for_a_lock_is_cancelled() -> Result<()> {
    everywhere(async |folder| {
        let holder = connect(folder.db()).await?;
        holder.execute("create table t (i)", ()).await?;
        let lock = holder.transaction(Behavior::Immediate).await?;
        let db = Arc::new(connect(folder.db()).await?);
        for _ in 0..10 {
            let task = create_task({
                let db = Arc::clone(&db);
                async move { db.transaction(Behavior::Immediate).await?.commit().await }
            });
            sleep(0.003).await?;
            cancelled(task).await?;
            let asked = Instant::now();
            assert_eq!(db.execute_fetchall("select * from t", ()).await?.len(), 0);
            // The lock is waited for 5 seconds.
            assert!(
                asked.elapsed() < Duration::from_secs(3),
                "{:?}",
                asked.elapsed()
            );
        }
        lock.rollback().await?;
        db.transaction(Behavior::Immediate).await?.commit().await
    })
}

#[test]
fn a_lock_is_waited_for_so_long() -> Result<()> {
    everywhere(async |folder| {
        let holder = connect(folder.db()).await?;
        let lock = holder.transaction(Behavior::Immediate).await?;
        let db = connect(folder.db())
            .busy_timeout(Duration::from_millis(50))
            .await?;
        let begun = Instant::now();
        let refused = db.transaction(Behavior::Immediate).await;
        assert!(fails(&refused, SqliteError::is_locked));
        assert_eq!(error_of(refused), "database is locked");
        assert!(begun.elapsed() >= Duration::from_millis(50));
        lock.rollback().await?;
        db.transaction(Behavior::Immediate).await?.commit().await
    })
}

/// SQLite rolls a transaction back when it is interrupted in a statement that writes, and not in one that
/// reads.
#[test]
fn a_transaction_says_whether_it_survived() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        db.execute("create table t (i)", ()).await?;
        let transaction = db.transaction(Behavior::Immediate).await?;
        transaction.execute("insert into t values (1)", ()).await?;

        let read = timeout(0.02, transaction.execute(ENDLESS, ())).await;
        assert!(read.is_err_and(|error| error.is::<TimeoutError>()));
        assert!(transaction.is_active().await?);
        transaction.execute("insert into t values (2)", ()).await?;

        let written = timeout(0.02, transaction.execute(ENDLESS_INSERT, ())).await;
        assert!(written.is_err_and(|error| error.is::<TimeoutError>()));
        assert!(!transaction.is_active().await?);
        let late = transaction.execute("insert into t values (3)", ()).await;
        assert!(fails(&late, SqliteError::is_transaction_over));
        assert_eq!(
            error_of(late),
            "the transaction is over: it was rolled back"
        );
        let committed = transaction.commit().await;
        assert!(fails(&committed, SqliteError::is_transaction_over));
        assert!(db.execute_fetchall("select * from t", ()).await?.is_empty());
        Ok(())
    })
}

/// The next statement is not taken into a transaction whose beginning was cancelled.
#[test]
fn a_beginning_that_is_cancelled_leaves_no_transaction() -> Result<()> {
    everywhere(async |folder| {
        let db = Arc::new(connect(folder.db()).await?);
        db.execute("create table t (i)", ()).await?;
        for round in 0..50 {
            let task = create_task({
                let db = Arc::clone(&db);
                async move { db.transaction(Behavior::Immediate).await?.commit().await }
            });
            for _ in 0..round % 5 {
                sleep(0).await?;
            }
            task.cancel();
            let _ = task.await;
            db.execute("insert into t values (?)", [round]).await?;
        }
        db.close().await?;
        let db = connect(folder.db()).await?;
        assert_eq!(db.execute_fetchall("select * from t", ()).await?.len(), 50);
        Ok(())
    })
}

/// Who is cancelled at a commit can tell what has come of it.
#[test]
fn a_commit_that_is_cancelled_says_what_it_did() -> Result<()> {
    everywhere(async |folder| {
        let db = Arc::new(connect(folder.db()).await?);
        db.execute("create table t (i)", ()).await?;
        let kept = Arc::new(AtomicUsize::new(0));
        for round in 0..60 {
            let task = create_task({
                let (db, kept) = (Arc::clone(&db), Arc::clone(&kept));
                async move {
                    let transaction = db.transaction(Behavior::Immediate).await?;
                    transaction.execute("insert into t values (1)", ()).await?;
                    // Heard here and not from the task: on many threads it may be cancelled after this has
                    // ended, and then its value is lost.
                    let ended = transaction.commit().await;
                    let was_kept = match &ended {
                        Ok(()) => true,
                        Err(error) => {
                            let error = error.downcast_ref::<CancelledError>().expect("it is one");
                            error.message() == Some("the transaction was committed")
                        }
                    };
                    kept.fetch_add(usize::from(was_kept), Ordering::Relaxed);
                    ended
                }
            });
            if round % 3 == 0 {
                sleep(0.0002 * f64::from(round % 7)).await?;
            } else {
                for _ in 0..round % 20 {
                    sleep(0).await?;
                }
            }
            task.cancel();
            let ended = task.await;
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
            assert!(!db.settled().await?);
            let rows = db.execute_fetchall("select * from t", ()).await?;
            let kept = kept.load(Ordering::Relaxed);
            assert_eq!(rows.len(), kept, "in round {round}");
        }
        Ok(())
    })
}

#[test]
fn an_interrupt_is_an_error_of_what_runs() -> Result<()> {
    everywhere(async |_| {
        let db = Arc::new(connect(":memory:").await?);
        // Of what does not run it is none.
        db.interrupt();
        let task = begun(&db, ENDLESS).await?;
        db.interrupt();
        let ended = task.await;
        assert!(fails(&ended, SqliteError::is_interrupted));
        assert_eq!(error_of(ended), "interrupted");
        db.execute("select 1", ()).await?;
        Ok(())
    })
}

#[test]
fn a_cursor_that_was_interrupted_goes_on_with_nothing() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let rows =
            "with recursive t(i) as (select 1 union all select i + 1 from t) select i from t";
        let mut cursor = db.execute(rows, ()).await?;
        assert!(cursor.fetchone().await?.is_some());
        let all = timeout(0.02, cursor.fetchall()).await;
        assert!(all.is_err_and(|error| error.is::<TimeoutError>()));
        // What was read before is there.
        assert_eq!(cursor.fetchmany(63).await?.len(), 63);
        let refused = cursor.fetchone().await;
        assert!(error_of(refused).starts_with("the cursor is closed"));
        db.execute("select 1", ()).await?;
        Ok(())
    })
}

#[test]
fn a_function_that_panics_harms_nobody_else() -> Result<()> {
    everywhere(async |_| {
        let db = Arc::new(connect(":memory:").await?);
        let task = create_task({
            let db = Arc::clone(&db);
            async move {
                db.call(|_| -> rusqlite::Result<()> {
                    std::panic::resume_unwind(Box::new("out of cheese"))
                })
                .await
            }
        });
        let error = task.await.expect_err("it panics");
        assert!(error.is_panic());
        db.execute("select 1", ()).await?;
        Ok(())
    })
}

/// A virtual clock does not jump over a call.
#[test]
fn a_virtual_clock_waits_for_a_call() -> Result<()> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    runner.run(async {
        let db = connect(":memory:").await?;
        let slow = timeout(1, async {
            db.call(|_| {
                std::thread::sleep(Duration::from_millis(20));
                Ok(7)
            })
            .await
        });
        assert_eq!(slow.await?, 7);
        Ok(())
    })?;
    runner.close()
}
