//! Engines, and their pools.

use std::time::Duration;

use asyncio_core::{Result, TimeoutError, create_task, gather_iter, sleep};
use asyncio_db::sql::{
    ArgumentError, EngineConnection, IsolationLevel, Value, create_async_engine, delete, func,
    select, text,
};

use crate::support::{User, both, error_of, user};

async fn one(connection: &mut EngineConnection) -> Result<i64> {
    connection
        .execute(text("SELECT 1").columns::<(i64,)>())
        .await?
        .scalar_one()
}

/// Ports `test_engine.AsyncEngineTest.test_connect_ctxmanager` and `test_connect_plain`.
#[test]
fn a_connection_is_given_back_by_its_end_and_by_close() -> Result<()> {
    both(async |db| {
        {
            let mut connection = db.engine.connect().await?;
            assert_eq!(one(&mut connection).await?, 1);
        }
        let mut connection = db.engine.connect().await?;
        assert_eq!(one(&mut connection).await?, 1);
        connection.close().await?;
        let status = db.engine.pool_status();
        assert_eq!((status.checked_out, status.size), (0, status.checked_in));
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_transaction_commit`.
#[test]
fn begin_commits_what_succeeds() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        db.engine
            .begin_with(async |connection| {
                connection.execute(delete::<User>()).await?;
                Ok(())
            })
            .await?;
        let mut connection = db.engine.connect().await?;
        let count = select::<User>().columns(func::count_of(User::ID));
        assert_eq!(connection.scalar(count).await?, Some(0));
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_engine_eq_ne`.
#[test]
fn engines_are_the_same_or_not() -> Result<()> {
    both(async |db| {
        let another = db.another().build()?;
        assert_eq!(db.engine, db.engine.clone());
        assert_ne!(db.engine, another);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_proxied_attrs_engine`: the URL, its dialect, and the engine's name
/// without a password.
#[test]
fn an_engine_tells_what_it_is() -> Result<()> {
    both(async |db| {
        let url = db.engine.url();
        assert_eq!(url.starts_with("sqlite+aiosqlite:///"), db.is_sqlite());
        assert_eq!(url.starts_with("postgresql+asyncpg://"), !db.is_sqlite());
        let connection = db.engine.connect().await?;
        assert_eq!(connection.dialect(), db.engine.dialect());
        Ok(())
    })?;
    let secret = create_async_engine("postgresql://scott:tiger@localhost/test").build()?;
    assert_eq!(secret.url(), "postgresql://scott:***@localhost/test");
    assert!(!format!("{secret:?}").contains("tiger"));
    Ok(())
}

/// Ports `test_engine.AsyncEngineTest.test_run_async` in what it is for: what is below is at hand.
#[test]
fn what_is_underneath_is_at_hand() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        if db.is_sqlite() {
            let below = connection.sqlite().expect("it is SQLite");
            let rows = below.execute_fetchall("SELECT 7", ()).await?;
            assert_eq!(rows[0].get::<i64>(0)?, 7);
            assert!(connection.postgresql().is_none());
        } else {
            let below = connection.postgresql().expect("it is PostgreSQL");
            assert_eq!(below.fetchval("SELECT 7", ()).await?, Some(7));
            assert!(connection.sqlite().is_none());
        }
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_dispose`, and
/// `engine/test_pool.QueuePoolTest.test_dispose_closes_pooled`.
#[test]
fn dispose_closes_what_nobody_uses() -> Result<()> {
    both(async |db| {
        let first = db.engine.connect().await?;
        let second = db.engine.connect().await?;
        first.close().await?;
        second.close().await?;
        while db.engine.pool_status().checked_in < 2 {
            sleep(0.001).await?; // what is reset on its way back
        }
        let mut out = db.engine.connect().await?;
        db.engine.dispose().await?;
        assert_eq!(db.engine.pool_status().checked_in, 0);
        // What is in use goes on, and is closed when it comes back.
        assert_eq!(one(&mut out).await?, 1);
        drop(out);
        assert_eq!(db.engine.pool_status().checked_in, 0);
        // And so does the engine.
        assert_eq!(one(&mut db.engine.connect().await?).await?, 1);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_init_once_concurrency` and `test_pool_classes`.
#[test]
fn many_use_an_engine_at_once() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(3).max_overflow(1).build()?;
        let tasks = (0..10).map(|_| {
            let engine = engine.clone();
            async move { one(&mut engine.connect().await?).await }
        });
        let ones = gather_iter(tasks).await?;
        assert_eq!(ones, [1; 10]);
        engine.dispose().await
    })
}

/// Ports `test_engine.AsyncEngineTest.test_pool_exhausted_some_timeout`, `test_pool_exhausted_no_timeout`,
/// and `engine/test_pool.QueuePoolTest.test_timeout` and `test_timeout_subsecond_precision`.
#[test]
fn one_waits_so_long_for_a_connection() -> Result<()> {
    both(async |db| {
        for time in [Duration::from_millis(50), Duration::ZERO] {
            let limited = db.another().pool_size(1).max_overflow(0).pool_timeout(time);
            let engine = limited.build()?;
            let out = engine.connect().await?;
            error_of::<TimeoutError>(engine.connect().await);
            drop(out);
            let again = db.another().pool_size(1).max_overflow(0).build()?;
            assert_eq!(one(&mut again.connect().await?).await?, 1);
        }
        Ok(())
    })
}

/// Ports `engine/test_pool.QueuePoolTest.test_waiters_handled` and `test_notify_waiters`.
#[test]
fn who_waits_gets_the_connection_that_comes_back() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        let out = engine.connect().await?;
        let waiting = create_task({
            let engine = engine.clone();
            async move { one(&mut engine.connect().await?).await }
        });
        sleep(0.01).await?;
        assert!(!waiting.done());
        drop(out);
        assert_eq!(waiting.await?, 1);
        Ok(())
    })
}

/// Ports `engine/test_pool.QueuePoolTest.test_max_overflow`, `test_no_overflow` and `test_overflow_no_gc`.
#[test]
fn what_is_above_the_size_is_closed_when_it_comes_back() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(2).max_overflow(2).build()?;
        let mut out = Vec::new();
        for _ in 0..4 {
            out.push(engine.connect().await?);
        }
        assert_eq!(engine.pool_status().checked_out, 4);
        drop(out);
        while engine.pool_status().checked_in < 2 {
            sleep(0.001).await?;
        }
        assert_eq!(engine.pool_status().size, 2);
        Ok(())
    })
}

/// Ports `engine/test_pool.QueuePoolTest.test_recycle`.
#[test]
fn what_is_too_old_is_replaced() -> Result<()> {
    both(async |db| {
        let engine = db
            .another()
            .pool_size(1)
            .pool_recycle(Duration::ZERO)
            .build()?;
        let make = text("CREATE TEMPORARY TABLE t (x int)");
        engine
            .begin_with(async |it| {
                it.execute(make).await?;
                Ok(())
            })
            .await?;
        let mut next = engine.connect().await?;
        let error = next.execute(text("SELECT * FROM t")).await;
        assert!(error.is_err(), "it is another session");
        Ok(())
    })
}

/// Ports `engine/test_pool.QueuePoolTest.test_invalidate` and `test_engine.AsyncEngineTest.test_invalidate`.
#[test]
fn what_is_invalidated_is_lent_to_nobody() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        let mut first = engine.connect().await?;
        first
            .execute(text("CREATE TEMPORARY TABLE t (x int)"))
            .await?;
        first.commit().await?;
        first.invalidate();
        let mut next = engine.connect().await?;
        assert!(next.execute(text("SELECT * FROM t")).await.is_err());
        Ok(())
    })
}

/// Ports `engine/test_pool.ResetOnReturnTest.test_plain_rollback`, and
/// `engine/test_pool.QueuePoolTest.test_no_double_checkin`.
#[test]
fn what_comes_back_is_rolled_back() -> Result<()> {
    both(async |db| {
        let engine = db.another().pool_size(1).max_overflow(0).build()?;
        let mut first = engine.connect().await?;
        first
            .execute(asyncio_db::sql::insert().row(&user("lost")))
            .await?;
        drop(first);
        let mut next = engine.connect().await?;
        assert!(!next.in_transaction());
        assert_eq!(
            next.scalar(select::<User>().columns(func::count())).await?,
            Some(0)
        );
        Ok(())
    })
}

/// A server that has closed a connection meanwhile is no matter (`pool_pre_ping`).
#[test]
fn a_connection_that_was_closed_is_replaced() -> Result<()> {
    both(async |db| {
        if db.is_sqlite() {
            return Ok(());
        }
        let engine = db
            .another()
            .pool_size(1)
            .max_overflow(0)
            .pool_pre_ping(true)
            .build()?;
        let pid = text("SELECT pg_backend_pid()").columns::<(i64,)>();
        let victim = engine
            .connect()
            .await?
            .scalar(pid.clone())
            .await?
            .expect("it has one");
        let mut killer = db.engine.connect().await?;
        killer
            .execute(text("SELECT pg_terminate_backend(:pid)").bind("pid", victim))
            .await?;
        let next = engine
            .connect()
            .await?
            .scalar(pid)
            .await?
            .expect("it has one");
        assert_ne!(next, victim);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_isolation_level`.
#[test]
fn a_connection_has_an_isolation() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        connection.set_isolation_level(IsolationLevel::Serializable)?;
        assert_eq!(
            connection.get_isolation_level(),
            Some(IsolationLevel::Serializable)
        );
        if !db.is_sqlite() {
            let level = connection
                .scalar(text("SHOW transaction_isolation"))
                .await?;
            assert_eq!(level, Some(Value::from("serializable")));
        } else {
            assert_eq!(one(&mut connection).await?, 1);
        }
        assert!(
            connection
                .set_isolation_level(IsolationLevel::ReadCommitted)
                .is_err()
        );
        connection.rollback().await?;
        connection.set_isolation_level(IsolationLevel::Autocommit)?;
        connection
            .execute(asyncio_db::sql::insert().row(&user("there")))
            .await?;
        assert!(!connection.in_transaction());
        drop(connection);
        let mut other = db.engine.connect().await?;
        assert_eq!(
            other
                .scalar(select::<User>().columns(func::count()))
                .await?,
            Some(1)
        );
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_async_engine_from_config` in what applies: an engine is told how it
/// is to be, and what is not understood is an error without the password.
#[test]
fn what_is_not_understood_is_said() -> Result<()> {
    for url in [
        "",
        "users.db",
        "oracle://scott:tiger@db/x",
        "sqlite://host/file.db",
    ] {
        let error = create_async_engine(url).build().expect_err(url);
        assert!(!error.to_string().contains("tiger"));
        error_of::<ArgumentError>(Err::<(), _>(error.into()));
    }
    Ok(())
}

/// Ports `test_engine.AsyncCreatePoolTest.test_pool_args`.
#[test]
fn a_database_in_memory_has_one_connection() -> Result<()> {
    asyncio_core::run(async {
        let engine = create_async_engine("sqlite+aiosqlite://")
            .pool_timeout(Duration::ZERO)
            .build()?;
        let mut connection = engine.connect().await?;
        connection.execute(text("CREATE TABLE t (x int)")).await?;
        connection.commit().await?;
        assert!(engine.connect().await.is_err());
        drop(connection);
        let mut again = engine.connect().await?;
        assert_eq!(
            again.scalar(text("SELECT count(*) FROM t")).await?,
            Some(Value::Integer(0))
        );
        Ok(())
    })
}
