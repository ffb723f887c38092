//! Transactions of a session.

use asyncio_core::{Result, ValueError as Mistake};
use asyncio_db::sql::{
    InstanceState, InvalidRequestError, PendingRollbackError, func, select, text,
};

use crate::support::{Db, Item, User, both, error_of, item, user};

async fn count(db: &Db) -> Result<i64> {
    let mut connection = db.engine.connect().await?;
    let count = connection
        .scalar(select::<User>().columns(func::count_of(User::ID)))
        .await?;
    Ok(count.unwrap_or(-1))
}

/// Ports `test_session.AsyncSessionTransactionTest.test_async_sessionmaker_block_one` and
/// `test_orm_sessionmaker_block_one`.
#[test]
fn a_block_of_a_session_commits() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session
            .begin_with(async |session| {
                assert!(session.in_transaction());
                session.add(user("u1"));
                Ok(())
            })
            .await?;
        assert!(!session.in_transaction());
        let mut other = db.session();
        let u1 = other
            .execute(select::<User>().filter(User::NAME.eq("u1")))
            .await?
            .scalar_one()?;
        assert_eq!(u1.get().name, "u1");
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_async_sessionmaker_block_two`,
/// `test_orm_sessionmaker_block_two` and
/// `orm/test_transaction.ContextManagerPlusFutureTest.test_sessionmaker_begin_context_manager`.
#[test]
fn a_block_of_a_maker_commits() -> Result<()> {
    both(async |db| {
        db.maker()
            .begin(async |session| {
                assert!(session.in_transaction());
                session.add(user("u1"));
                Ok(())
            })
            .await?;
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_trans`, `test_trans_noctx` and
/// `orm/test_transaction.SessionTransactionTest.test_transactions_isolated`.
#[test]
fn others_see_what_is_committed() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut transaction = session.begin().await?;
        assert_eq!(count(&db).await?, 0);
        let u1 = transaction.add(user("u1"));
        let found = transaction
            .execute(select::<User>())
            .await?
            .scalar()
            .expect("it was flushed");
        assert!(found.is(&u1));
        assert_eq!(count(&db).await?, 0);
        transaction.commit().await?;
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_commit_as_you_go`.
#[test]
fn a_transaction_begins_by_itself() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(user("u1"));
        assert!(session.execute(select::<User>()).await?.scalar().is_some());
        assert!(session.in_transaction());
        assert_eq!(count(&db).await?, 0);
        session.commit().await?;
        assert_eq!(count(&db).await?, 1);
        session.commit().await?; // nothing
        Ok(())
    })
}

/// Ports `orm/test_session.TransScopingTest.test_autobegin_execute`, `test_autobegin_flush` and
/// `test_no_autobegin`.
#[test]
fn it_begins_with_the_first_statement() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.flush().await?; // nothing to be written
        session.commit().await?;
        session.rollback().await?;
        assert!(!session.in_transaction());
        assert_eq!(db.engine.pool_status().checked_out, 0);
        session.execute(text("SELECT 1")).await?;
        assert!(session.in_transaction());
        session.commit().await?;
        session.add(user("u"));
        session.flush().await?;
        assert!(session.in_transaction());
        session.rollback().await?;
        assert!(!session.in_transaction());
        Ok(())
    })
}

/// Ports `orm/test_session.TransScopingTest.test_no_close_on_flush` and
/// `orm/test_transaction.SessionTransactionTest.test_no_close_transaction_on_flush`.
#[test]
fn a_flush_does_not_end_it() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(user("u"));
        session.flush().await?;
        assert!(session.in_transaction());
        assert_eq!(db.engine.pool_status().checked_out, 1);
        session.commit().await?;
        assert_eq!(db.engine.pool_status().checked_out, 0);
        Ok(())
    })
}

/// Ports `orm/test_transaction.ContextManagerPlusFutureTest.test_explicit_begin` and
/// `test_no_double_begin_explicit`.
#[test]
fn a_transaction_is_not_begun_twice() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.begin().await?.commit().await?;
        session.execute(text("SELECT 1")).await?;
        let error = error_of::<InvalidRequestError>(session.begin().await);
        assert!(error.to_string().contains("already begun"));
        session.rollback().await?;
        session.begin().await?.rollback().await
    })
}

/// Ports `orm/test_transaction.ContextManagerPlusFutureTest.test_contextmanager_rollback`,
/// `test_begin_context_manager_rollback_trans` and `test_sessionmaker_begin_context_manager_rollback_trans`.
#[test]
fn a_block_that_fails_is_rolled_back() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let failed = session
            .begin_with(async |session| {
                session.add(user("u"));
                session.flush().await?;
                Err::<(), _>(Mistake::new("mice").into())
            })
            .await;
        assert_eq!(failed.expect_err("mice").to_string(), "mice");
        assert!(!session.in_transaction());
        let failed = db
            .maker()
            .begin(async |session| {
                session.add(user("u"));
                session.flush().await?;
                Err::<(), _>(Mistake::new("mice").into())
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Ports `orm/test_transaction.ContextManagerPlusFutureTest.test_rollback_is_global` and
/// `test_interrupt_ctxmanager`: what was ended inside is over.
#[test]
fn what_was_ended_inside_is_over() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut transaction = session.begin().await?;
        transaction.add(user("u"));
        (*transaction).commit().await?;
        let error = error_of::<InvalidRequestError>(transaction.commit().await);
        assert!(error.to_string().contains("ended by somebody else"));
        assert_eq!(count(&db).await?, 1);
        Ok(())
    })
}

/// Ports `orm/test_transaction.AutoExpireTest.test_expunge_pending_on_rollback` and
/// `test_trans_pending_cleared_on_commit`.
#[test]
fn what_was_added_is_no_more_after_a_rollback() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let never = session.add(user("never flushed"));
        let u = session.add(user("u"));
        session.flush().await?;
        assert!(session.contains(&u));
        session.rollback().await?;
        assert!(!session.contains(&u) && !session.contains(&never));
        assert_eq!(
            (u.state(), never.state()),
            (InstanceState::Detached, InstanceState::Detached)
        );
        session.commit().await?;
        assert_eq!(count(&db).await?, 0);
        let kept = session.add(user("kept"));
        session.commit().await?;
        session.rollback().await?;
        assert!(session.contains(&kept));
        Ok(())
    })
}

/// Ports `orm/test_transaction.AutoExpireTest.test_update_deleted_on_rollback` and
/// `test_trans_deleted_cleared_on_rollback`.
#[test]
fn what_was_deleted_is_there_again_after_a_rollback() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("u"));
        session.commit().await?;
        session.delete(&u)?;
        session.flush().await?;
        assert!(session.get::<User>(u.get().id).await?.is_none());
        session.rollback().await?;
        assert_eq!(u.state(), InstanceState::Persistent);
        let again = session.get_one::<User>(u.get().id).await?;
        assert!(again.is(&u));
        session.delete(&u)?;
        session.commit().await?;
        assert_eq!(u.state(), InstanceState::Detached);
        session.rollback().await?;
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Ports `orm/test_transaction.FixtureDataTest.test_attrs_on_rollback`.
#[test]
fn what_was_edited_is_as_it_was_after_a_rollback() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("ed"));
        session.commit().await?;
        u.edit().name = "ed2".to_owned();
        session.rollback().await?;
        assert_eq!(u.get().name, "ed");
        u.edit().name = "ed3".to_owned();
        session.flush().await?;
        u.edit().name = "ed4".to_owned();
        session.rollback().await?;
        assert_eq!(u.get().name, "ed");
        assert!(u.is_expired() && !u.is_modified());
        Ok(())
    })
}

/// Ports `orm/test_transaction.FixtureDataTest.test_commit_persistent` and
/// `test_concurrent_commit_persistent`, and `AutoExpireTest.test_commit_pending` and
/// `test_concurrent_commit_pending`.
#[test]
fn after_a_commit_others_changes_are_seen() -> Result<()> {
    both(async |db| {
        let mut one = db.session();
        let u1 = one.add(user("ed"));
        u1.edit().name = "edward".to_owned();
        one.commit().await?;
        let mut two = db.session();
        let same = two.get_one::<User>(u1.get().id).await?;
        assert_eq!(same.get().name, "edward");
        same.edit().name = "will".to_owned();
        two.commit().await?;
        assert_eq!(u1.get().name, "edward", "nothing is read behind one's back");
        assert!(u1.is_expired());
        assert_eq!(one.get_one::<User>(u1.get().id).await?.get().name, "will");
        assert_eq!(u1.get().name, "will");
        Ok(())
    })
}

/// Ports `orm/test_transaction.AccountingFlagsTest.test_no_expire_on_commit`.
#[test]
fn a_commit_need_not_expire() -> Result<()> {
    both(async |db| {
        let mut session = db.maker().expire_on_commit(false).session();
        let u = session.add(user("ed"));
        session.commit().await?;
        assert!(!u.is_expired());
        let mut other = db.session();
        other.get_one::<User>(u.get().id).await?.edit().name = "will".to_owned();
        other.commit().await?;
        db.said();
        assert_eq!(session.get_one::<User>(u.get().id).await?.get().name, "ed");
        assert!(db.said().is_empty());
        Ok(())
    })
}

/// Ports `orm/test_transaction.RollbackRecoverTest.test_pk_violation`.
#[test]
fn a_flush_that_fails_has_to_be_rolled_back() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let a1 = session.add(item("foo", 1));
        session.commit().await?;
        a1.edit().rank = Some(2);
        let a2 = session.add(item("foo", 3));
        assert!(session.flush().await.is_err());
        assert!(!session.is_active());
        session.rollback().await?;
        assert!(session.is_active());
        assert!(session.contains(&a1) && !session.contains(&a2));
        assert_eq!(a1.get().rank, Some(1));
        let a3 = session.add(item("bar", 3));
        session.commit().await?;
        assert!(session.contains(&a3));
        Ok(())
    })
}

/// Ports `orm/test_transaction.SessionTransactionTest.test_preserve_flush_error`,
/// `test_warning_on_using_inactive_session_new`, `test_warning_on_using_inactive_session_dirty` and
/// `test_warning_on_using_inactive_session_delete`.
#[test]
fn a_session_that_has_failed_says_so() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(item("foo", 1));
        session.commit().await?;
        session.add(item("foo", 1));
        assert!(session.commit().await.is_err());
        error_of::<PendingRollbackError>(session.flush().await);
        error_of::<PendingRollbackError>(session.execute(text("SELECT 1")).await);
        error_of::<PendingRollbackError>(session.get::<Item>("foo").await);
        error_of::<PendingRollbackError>(session.commit().await);
        error_of::<PendingRollbackError>(session.begin_nested().await);
        error_of::<PendingRollbackError>(session.connection().await);
        session.rollback().await?;
        session.execute(text("SELECT 1")).await?;
        Ok(())
    })
}

/// Ports `orm/test_session.SessionStateTest.test_active_flag_autobegin_future` and
/// `test_active_flag_partial_rollback`.
#[test]
fn a_session_is_active_or_not() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        assert!(session.is_active());
        session.execute(text("SELECT 1")).await?;
        assert!(session.is_active());
        session.add(item("x", 1));
        session.add(item("x", 1));
        assert!(session.flush().await.is_err());
        assert!(!session.is_active());
        session.rollback().await?;
        assert!(session.is_active());
        Ok(())
    })
}

/// Ports `orm/test_transaction.TransactionFlagsTest.test_in_transaction` and `test_in_transaction_nesting`.
#[test]
fn a_session_says_which_transaction_it_is_in() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        assert!(!session.in_transaction());
        let mut transaction = session.begin().await?;
        assert!(transaction.in_transaction() && !transaction.in_nested_transaction());
        let mut nested = transaction.begin_nested().await?;
        assert!(nested.in_nested_transaction());
        let inner = nested.begin_nested().await?;
        inner.commit().await?;
        assert!(nested.in_nested_transaction());
        nested.rollback().await?;
        assert!(transaction.in_transaction() && !transaction.in_nested_transaction());
        transaction.commit().await?;
        assert!(!session.in_transaction());
        Ok(())
    })
}

/// Ports `orm/test_transaction.NaturalPKRollbackTest.test_rollback_recover`,
/// `test_key_replaced_by_update` and `test_multiple_key_replaced_by_update`.
#[test]
fn keys_are_what_they_were_after_a_rollback() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (u1, u2) = (session.add(item("u1", 1)), session.add(item("u2", 2)));
        session.commit().await?;
        session.delete(&u1)?;
        session.flush().await?;
        u2.edit().name = "u1".to_owned();
        session.flush().await?;
        assert!(session.get::<Item>("u1").await?.expect("renamed").is(&u2));
        assert!(session.get::<Item>("u2").await?.is_none());
        session.rollback().await?;
        assert_eq!(
            (u1.get().name.as_str(), u2.get().name.as_str()),
            ("u1", "u2")
        );
        assert!(
            session
                .get::<Item>("u1")
                .await?
                .expect("it is back")
                .is(&u1)
        );
        assert!(
            session
                .get::<Item>("u2")
                .await?
                .expect("it is back")
                .is(&u2)
        );
        Ok(())
    })
}

/// Ports `test_session.AsyncProxyTest.test_get_transaction` and `test_get_connection_engine_bound`.
#[test]
fn the_connection_is_that_of_the_transaction() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let engine = session.engine().clone();
        assert_eq!(*session.connection().await?.engine(), engine);
        session.add(user("u"));
        session.flush().await?;
        let connection = session.connection().await?;
        assert!(connection.in_transaction());
        assert_eq!(
            connection
                .scalar(select::<User>().columns(func::count()))
                .await?,
            Some(1)
        );
        session.rollback().await?;
        assert_eq!(count(&db).await?, 0);
        Ok(())
    })
}

/// Who writes in two sessions on the same row: the second finds what the first has committed.
#[test]
fn sessions_that_write_wait_for_one_another() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let add = async || {
            let mut session = db.session();
            let mut transaction = session.begin().await?;
            let query = select::<User>().filter(User::ID.eq(7));
            let query = if db.is_sqlite() {
                query
            } else {
                query.with_for_update()
            };
            let jack = transaction.scalars(query).await?.one()?;
            let longer = format!("{}!", jack.get().name);
            jack.edit().name = longer;
            transaction.commit().await
        };
        let (one, two) = futures::future::join(add(), add()).await;
        one?;
        two?;
        assert_eq!(db.session().get_one::<User>(7).await?.get().name, "jack!!");
        Ok(())
    })
}
