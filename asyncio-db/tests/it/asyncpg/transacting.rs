//! asyncpg's `test_transaction.py`.

use asyncio_core::{Result, RuntimeError};
use asyncio_db::pg::IsolationLevel;
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{error_of, everywhere};

/// `test_transaction_regular`.
#[test]
fn what_goes_wrong_undoes_all() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        assert!(!connection.is_in_transaction());
        let outcome: Result<()> = async {
            let mut transaction = connection.transaction().await?;
            assert!(transaction.is_in_transaction());
            transaction
                .execute("CREATE TABLE undone_regular (a int)", ())
                .await?;
            transaction.execute("SELECT 1 / 0", ()).await?;
            transaction.commit().await
        }
        .await;
        assert!(
            outcome
                .expect_err("by zero")
                .is_pg::<exc::DivisionByZeroError>()
        );
        assert!(!connection.is_in_transaction() || connection.settle().await.is_ok());
        let gone = connection.execute("SELECT * FROM undone_regular", ()).await;
        assert!(
            gone.expect_err("it was undone")
                .is_pg::<exc::UndefinedTableError>()
        );
        Ok(())
    })
}

/// `test_transaction_nested`.
#[test]
fn one_within_another_is_undone_by_itself() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("CREATE TEMP TABLE mytab (a int)", ())
            .await?;
        let mut outer = connection.transaction().await?;
        outer.execute("INSERT INTO mytab VALUES (1)", ()).await?;
        let mut inner = outer.transaction().await?;
        inner.execute("INSERT INTO mytab VALUES (2)", ()).await?;
        let mut innermost = inner.transaction().await?;
        innermost
            .execute("INSERT INTO mytab VALUES (3)", ())
            .await?;
        assert!(innermost.execute("SELECT 1 / 0", ()).await.is_err());
        drop(innermost);
        inner.commit().await?;
        let failed: Result<()> = async {
            let mut inner = outer.transaction().await?;
            inner.execute("INSERT INTO mytab VALUES (4)", ()).await?;
            Err(RuntimeError::new("undo it").into())
        }
        .await;
        error_of::<RuntimeError>(failed);
        outer.commit().await?;
        let all: Option<String> = connection
            .fetchval("SELECT string_agg(a::text, ',' ORDER BY a) FROM mytab", ())
            .await?;
        assert_eq!(all.as_deref(), Some("1,2"));
        Ok(())
    })
}

/// `test_transaction_within_manual_transaction`.
#[test]
fn within_one_that_was_begun_by_hand_it_is_a_savepoint() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection.execute("BEGIN", ()).await?;
        assert!(connection.is_in_transaction());
        match connection.transaction().await {
            Ok(transaction) => transaction.rollback().await?,
            // asyncpg refuses it.
            Err(error) => assert!(error.is::<asyncio_db::pg::InterfaceError>(), "{error:?}"),
        }
        connection.execute("ROLLBACK", ()).await?;
        assert!(!connection.is_in_transaction());
        Ok(())
    })
}

/// `test_isolation_level`.
#[test]
fn every_kind_of_isolation_is_as_it_is_asked_for() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for (level, name) in [
            (IsolationLevel::ReadUncommitted, "read uncommitted"),
            (IsolationLevel::ReadCommitted, "read committed"),
            (IsolationLevel::RepeatableRead, "repeatable read"),
            (IsolationLevel::Serializable, "serializable"),
        ] {
            for (readonly, deferrable) in
                [(false, false), (true, false), (true, true), (false, true)]
            {
                let mut transaction = connection
                    .transaction()
                    .isolation(level)
                    .readonly(readonly)
                    .deferrable(deferrable)
                    .await?;
                let on = |so| if so { "on" } else { "off" };
                for (setting, expected) in [
                    ("transaction_isolation", name),
                    ("transaction_read_only", on(readonly)),
                    ("transaction_deferrable", on(deferrable)),
                ] {
                    let told: Option<String> =
                        transaction.fetchval(&format!("SHOW {setting}"), ()).await?;
                    assert_eq!(told.as_deref(), Some(expected), "{setting}");
                }
                transaction.commit().await?;
            }
        }
        Ok(())
    })
}

/// `test_nested_isolation_level`: one within another has its isolation, or none is asked for.
#[test]
fn one_within_another_has_no_isolation_of_its_own() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let levels = [IsolationLevel::ReadCommitted, IsolationLevel::Serializable];
        for outer in levels {
            for inner in levels {
                let mut transaction = connection.transaction().isolation(outer).await?;
                let nested = transaction.transaction().isolation(inner).await;
                assert_eq!(nested.is_ok(), outer == inner, "{outer:?} {inner:?}");
                drop(nested);
                assert!(transaction.transaction().await.is_ok());
                transaction.rollback().await?;
            }
        }
        Ok(())
    })
}
