//! The pool.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Result, TimeoutError, create_task, gather_iter, sleep};
use asyncio_db::sqlite::{Behavior, Pool, create_pool};

use crate::cancelling::ENDLESS;
use crate::support::{Folder, error_of, everywhere};

async fn pool(folder: &Folder, readers: usize) -> Result<Pool> {
    let readers = NonZeroUsize::new(readers).expect("it is not zero");
    let pool = create_pool(folder.db()).readers(readers).await?;
    let writer = pool.write().await?;
    writer.execute("create table t (i integer)", ()).await?;
    Ok(pool)
}

#[test]
fn readers_read_and_the_writer_writes() -> Result<()> {
    everywhere(async |folder| {
        let pool = pool(&folder, 2).await?;
        let (one, two) = (pool.read().await?, pool.read().await?);
        let writer = pool.write().await?;
        let transaction = writer.transaction(Behavior::Immediate).await?;
        transaction.execute("insert into t values (1)", ()).await?;
        assert!(
            one.execute_fetchall("select * from t", ())
                .await?
                .is_empty()
        );
        transaction.commit().await?;
        assert_eq!(two.execute_fetchall("select * from t", ()).await?.len(), 1);
        assert_eq!(
            error_of(one.execute("insert into t values (2)", ()).await),
            "attempt to write a readonly database"
        );
        Ok(())
    })
}

#[test]
fn what_is_open_is_ended_when_it_is_given_back() -> Result<()> {
    everywhere(async |folder| {
        let pool = pool(&folder, 1).await?;
        for _ in 0..5 {
            let writer = pool.write().await?;
            writer.execute("begin immediate", ()).await?;
            writer.execute("insert into t values (1)", ()).await?;
            let reading = pool.read().await?;
            let numbers =
                "with recursive t(i) as (select 1 union all select i + 1 from t) select i from t";
            let cursor = reading.execute(numbers, ()).await?;
            drop((writer, reading));
            let writer = pool.write().await?;
            assert!(!writer.settled().await?);
            assert!(
                writer
                    .execute_fetchall("select * from t", ())
                    .await?
                    .is_empty()
            );
            let reading = pool.read().await?;
            reading.execute("select 1", ()).await?;
            let mut cursor = cursor;
            assert_eq!(cursor.fetchmany(64).await?.len(), 64);
            assert!(error_of(cursor.fetchone().await).starts_with("the cursor is closed"));
        }
        Ok(())
    })
}

#[test]
fn who_asks_first_is_served_first() -> Result<()> {
    everywhere(async |folder| {
        let pool = pool(&folder, 1).await?;
        let order = Arc::new(Mutex::new(Vec::new()));
        let held = pool.write().await?;
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            tasks.push(create_task(async move {
                let _writer = pool.write().await?;
                order.lock().expect("no panic").push(number);
                Ok(())
            }));
            // Each waits before the next begins.
            sleep(0.002).await?;
        }
        drop(held);
        gather_iter(tasks).await?;
        let order = order.lock().expect("no panic").clone();
        assert_eq!(order, (0..20).collect::<Vec<_>>());
        Ok(())
    })
}

#[test]
fn a_borrower_that_is_cancelled_gives_it_back() -> Result<()> {
    everywhere(async |folder| {
        let pool = pool(&folder, 1).await?;
        for _ in 0..20 {
            let working = create_task({
                let pool = pool.clone();
                async move {
                    pool.read().await?.execute(ENDLESS, ()).await?;
                    Ok(())
                }
            });
            let waiting = create_task({
                let pool = pool.clone();
                async move {
                    pool.read().await?;
                    Ok(())
                }
            });
            sleep(0.002).await?;
            waiting.cancel();
            working.cancel();
            // On many threads it may have been the first.
            let waited = waiting.await;
            assert!(waited.is_ok() || waited.is_err_and(|error| error.is_cancelled()));
            assert!(working.await.is_err_and(|error| error.is_cancelled()));
            let rows = pool.read().await?.execute_fetchall("select 1", ()).await?;
            assert_eq!(rows.len(), 1);
        }
        Ok(())
    })
}

#[test]
fn none_is_free_in_time() -> Result<()> {
    everywhere(async |folder| {
        let pool = create_pool(folder.db())
            .acquire_timeout(Duration::from_millis(10))
            .await?;
        let _held = pool.write().await?;
        let late = pool.write().await;
        assert!(late.is_err_and(|error| error.is::<TimeoutError>()));
        Ok(())
    })
}

#[test]
fn a_closed_pool_refuses() -> Result<()> {
    everywhere(async |folder| {
        let pool = pool(&folder, 1).await?;
        let held = pool.write().await?;
        let waiting = create_task({
            let pool = pool.clone();
            async move { pool.write().await.map(|_| ()) }
        });
        sleep(0.002).await?;
        pool.close().await?;
        assert_eq!(error_of(pool.read().await), "the pool is closed");
        held.execute("insert into t values (1)", ()).await?;
        drop(held);
        assert_eq!(error_of(waiting.await), "the pool is closed");
        crate::support::until(|| !crate::support::has_open(folder.path())).await
    })
}

#[test]
fn a_pool_needs_a_file() -> Result<()> {
    everywhere(async |_| {
        let refused = create_pool(":memory:").await;
        assert!(error_of(refused).starts_with("a pool needs a file"));
        Ok(())
    })
}
