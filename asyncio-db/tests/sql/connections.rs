//! Connections, their transactions and savepoints.

use asyncio_core::{Result, gather, sleep};
use asyncio_db::sql::{
    InvalidRequestError, PendingRollbackError, ResourceClosedError, delete, func, insert, select,
    text,
};

use crate::support::{Db, User, both, error_of, user, users};

async fn count(db: &Db) -> Result<i64> {
    let mut connection = db.engine.connect().await?;
    let count = connection
        .scalar(select::<User>().columns(func::count()))
        .await?;
    Ok(count.unwrap_or(-1))
}

/// Ports `test_engine.AsyncEngineTest.test_savepoint_rollback_noctx`.
#[test]
fn a_savepoint_is_rolled_back() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut transaction = db.engine.begin().await?;
        let mut savepoint = transaction.begin_nested().await?;
        savepoint.execute(delete::<User>()).await?;
        savepoint.rollback().await?;
        transaction.commit().await?;
        assert_eq!(count(&db).await?, 4);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_savepoint_commit_noctx`.
#[test]
fn a_savepoint_is_committed() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut transaction = db.engine.begin().await?;
        let mut savepoint = transaction.begin_nested().await?;
        savepoint.execute(delete::<User>()).await?;
        savepoint.commit().await?;
        transaction.commit().await?;
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_transaction_rollback`.
#[test]
fn a_transaction_is_rolled_back() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let mut transaction = connection.begin().await?;
        transaction.execute(delete::<User>()).await?;
        transaction.rollback().await?;
        assert_eq!(count(&db).await?, 4);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_transaction_accessor`.
#[test]
fn a_connection_says_which_transaction_it_is_in() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        assert!(!connection.in_transaction() && !connection.in_nested_transaction());
        let mut transaction = connection.begin().await?;
        assert!(transaction.in_transaction() && !transaction.in_nested_transaction());
        let nested = transaction.begin_nested().await?;
        assert!(nested.in_transaction() && nested.in_nested_transaction());
        nested.commit().await?;
        assert!(transaction.in_transaction() && !transaction.in_nested_transaction());
        transaction.rollback().await?;
        assert!(!connection.in_transaction() && !connection.in_nested_transaction());
        Ok(())
    })
}

/// Ports `test_engine.AsyncProxyTest.test_get_transaction` and `test_get_nested_transaction`: a guard that
/// goes without a commit has its part undone, and no more.
#[test]
fn a_guard_that_goes_undoes_its_part() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        let mut outer = connection.begin().await?;
        outer.execute(insert().row(&user("outer"))).await?;
        {
            let mut inner = outer.begin_nested().await?;
            inner.execute(insert().row(&user("inner"))).await?;
            let mut innermost = inner.begin_nested().await?;
            innermost.execute(insert().row(&user("innermost"))).await?;
        }
        assert!(!outer.in_nested_transaction());
        let names = outer
            .scalars(select::<User>().columns(User::NAME))
            .await?
            .all();
        assert_eq!(names, ["outer"]);
        drop(outer);
        assert!(!connection.in_transaction());
        assert_eq!(
            connection
                .scalar(select::<User>().columns(func::count()))
                .await?,
            Some(0)
        );
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_engine_aclose`.
#[test]
fn a_connection_that_is_given_back_is_closed() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let mut transaction = connection.begin().await?;
        transaction.execute(delete::<User>()).await?;
        transaction.commit().await?;
        connection.close().await?;
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Ports `orm/test_transaction.ContextManagerPlusFutureTest.test_no_double_begin_explicit`, of a connection.
#[test]
fn a_transaction_is_not_begun_twice() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        connection.execute(text("SELECT 1")).await?;
        let error = error_of::<InvalidRequestError>(connection.begin().await);
        assert!(error.to_string().contains("already begun"));
        connection.rollback().await?;
        connection.begin().await?.commit().await
    })
}

/// Ports `test_engine.AsyncEngineTest.test_interrupt_ctxmanager_connection`: what was ended inside cannot be
/// ended once more.
#[test]
fn a_transaction_that_was_ended_inside_is_over() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        let mut transaction = connection.begin().await?;
        transaction.execute(insert().row(&user("x"))).await?;
        (*transaction).rollback().await?;
        assert!(!transaction.in_transaction());
        transaction.commit().await?; // there is nothing to be committed
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Ports `test_engine.AsyncEngineTest.test_connection_eq_ne`: each is its own session.
#[test]
fn connections_do_not_see_what_others_have_not_committed() -> Result<()> {
    both(async |db| {
        let mut one = db.engine.connect().await?;
        let mut two = db.engine.connect().await?;
        one.execute(insert().row(&user("x"))).await?;
        let all = select::<User>().columns(func::count());
        assert_eq!(two.scalar(all.clone()).await?, Some(0));
        one.commit().await?;
        two.rollback().await?;
        assert_eq!(two.scalar(all).await?, Some(1));
        Ok(())
    })
}

/// A statement that fails: PostgreSQL's transaction has failed with it, SQLite's has not. Either way a
/// rollback puts it right, and a commit does not pretend.
#[test]
fn a_statement_that_fails_is_no_end() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        connection.execute(delete::<User>()).await?;
        assert!(
            connection
                .execute(text("SELECT * FROM nowhere"))
                .await
                .is_err()
        );
        let committed = connection.commit().await;
        if db.is_sqlite() {
            committed?;
            assert_eq!(count(&db).await?, 0);
        } else {
            error_of::<PendingRollbackError>(committed);
            assert_eq!(count(&db).await?, 4);
        }
        assert!(!connection.in_transaction());
        Ok(())
    })
}

/// In PostgreSQL a savepoint is the way to go on after an error; in SQLite it does no harm.
#[test]
fn a_savepoint_contains_an_error() -> Result<()> {
    both(async |db| {
        let mut transaction = db.engine.begin().await?;
        transaction.execute(insert().row(&user("kept"))).await?;
        let mut savepoint = transaction.begin_nested().await?;
        assert!(
            savepoint
                .execute(text("SELECT * FROM nowhere"))
                .await
                .is_err()
        );
        savepoint.rollback().await?;
        transaction.commit().await?;
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
}

/// Who begins to write waits for who writes, and nobody is told that the database is locked.
#[test]
fn writers_wait_for_one_another() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let add = async |letter: &'static str| {
            let mut transaction = db.engine.begin().await?;
            let jack = select::<User>().filter(User::ID.eq(7)).with_for_update();
            let jack = match db.is_sqlite() {
                // It locks as a whole.
                true => select::<User>().filter(User::ID.eq(7)),
                false => jack,
            };
            let name = transaction.execute(jack).await?.one()?.name;
            sleep(0.001).await?;
            let longer =
                asyncio_db::sql::update().set(User::NAME, format!("{name}{letter}").as_str());
            transaction.execute(longer.filter(User::ID.eq(7))).await?;
            transaction.commit().await
        };
        // Borrowed work: one after the other is what is to come of it.
        let (first, second) = futures::future::join(add("a"), add("b")).await;
        first?;
        second?;
        let mut connection = db.engine.connect().await?;
        let name = connection
            .scalar(select::<User>().columns(User::NAME).filter(User::ID.eq(7)))
            .await?;
        assert!(
            matches!(name.as_deref(), Some("jackab" | "jackba")),
            "{name:?}"
        );
        Ok(())
    })
}

/// What the rows of a table become on a connection: structs.
#[test]
fn the_rows_of_a_table_are_values() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let all = connection
            .execute(select::<User>().order_by(User::ID))
            .await?
            .all();
        assert_eq!(all, users());
        Ok(())
    })
}

/// A connection whose begin was cancelled is closed, and says so.
#[test]
fn a_closed_connection_says_so() -> Result<()> {
    both(async |db| {
        let engine = db.engine.clone();
        let mut holder = engine.begin().await?;
        holder.execute(insert().row(&user("x"))).await?;
        if db.is_sqlite() {
            let mut waiting = engine.connect().await?;
            // It waits for the lock of the other.
            let begun = asyncio_core::timeout(0.02, waiting.begin()).await;
            assert!(begun.is_err());
            drop(begun);
            error_of::<ResourceClosedError>(waiting.execute(text("SELECT 1")).await);
        }
        holder.rollback().await
    })
}

/// Two tasks, two connections.
#[test]
fn tasks_have_connections_of_their_own() -> Result<()> {
    both(async |db| {
        let ask = |n: i64| {
            let engine = db.engine.clone();
            async move {
                let mut connection = engine.connect().await?;
                let ask = text("SELECT CAST(:n AS bigint)")
                    .bind("n", n)
                    .columns::<(i64,)>();
                connection.execute(ask).await?.scalar_one()
            }
        };
        let (one, two) = gather((ask(1), ask(2))).await?;
        assert_eq!((one, two), (1, 2));
        Ok(())
    })
}
