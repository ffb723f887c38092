//! Savepoints of a session: what is undone, and what is not.

use asyncio_core::{Result, ValueError as Mistake};
use asyncio_db::sql::{InstanceState, InvalidRequestError, Session, select, update};

use crate::support::{Item, User, both, error_of, item, user};

async fn names(session: &mut Session) -> Result<Vec<String>> {
    let names = select::<User>().columns(User::NAME).order_by(User::ID);
    Ok(session.scalars(names).await?.all())
}

/// Ports `orm/test_transaction.SavepointTest.test_savepoint_rollback`.
#[test]
fn a_savepoint_is_rolled_back() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (u1, u2) = (session.add(user("ed")), session.add(user("jack")));
        let mut nested = session.begin_nested().await?;
        let (u3, u4) = (nested.add(user("wendy")), nested.add(user("foo")));
        u1.edit().name = "edward".to_owned();
        u2.edit().name = "jackward".to_owned();
        assert_eq!(
            names(&mut nested).await?,
            ["edward", "jackward", "wendy", "foo"]
        );
        nested.rollback().await?;
        assert_eq!(
            (u1.get().name.as_str(), u2.get().name.as_str()),
            ("ed", "jack")
        );
        assert_eq!(
            (u3.state(), u4.state()),
            (InstanceState::Detached, InstanceState::Detached)
        );
        assert_eq!(names(&mut session).await?, ["ed", "jack"]);
        session.commit().await?;
        assert_eq!(
            (u1.get().name.as_str(), u2.get().name.as_str()),
            ("ed", "jack")
        );
        assert_eq!(names(&mut session).await?, ["ed", "jack"]);
        Ok(())
    })
}

/// Ports `orm/test_transaction.SavepointTest.test_savepoint_delete`.
#[test]
fn what_is_deleted_in_a_savepoint_is_deleted() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("ed"));
        session.commit().await?;
        let mut nested = session.begin_nested().await?;
        nested.delete(&u1)?;
        nested.commit().await?;
        assert!(names(&mut session).await?.is_empty());
        session.commit().await?;
        assert_eq!(u1.state(), InstanceState::Detached);
        Ok(())
    })
}

/// Ports `orm/test_transaction.SavepointTest.test_savepoint_commit`.
#[test]
fn a_savepoint_is_committed() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (u1, u2) = (session.add(user("ed")), session.add(user("jack")));
        let mut nested = session.begin_nested().await?;
        let (u3, _u4) = (nested.add(user("wendy")), nested.add(user("foo")));
        u1.edit().name = "edward".to_owned();
        u2.edit().name = "jackward".to_owned();
        nested.commit().await?;
        let all = ["edward", "jackward", "wendy", "foo"];
        assert_eq!(names(&mut session).await?, all);
        session.commit().await?;
        assert_eq!(names(&mut session).await?, all);
        assert_eq!(u3.state(), InstanceState::Persistent);
        session.rollback().await?;
        assert!(session.contains(&u3));
        Ok(())
    })
}

/// What is kept of a savepoint goes with the transaction around it.
#[test]
fn a_savepoint_that_was_committed_goes_with_its_transaction() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let kept = session.add(user("kept"));
        session.commit().await?;
        let mut transaction = session.begin().await?;
        let mut nested = transaction.begin_nested().await?;
        let new = nested.add(user("new"));
        kept.edit().name = "changed".to_owned();
        nested.commit().await?;
        assert_eq!(new.state(), InstanceState::Persistent);
        transaction.rollback().await?;
        assert_eq!(
            (new.state(), kept.get().name.as_str()),
            (InstanceState::Detached, "kept")
        );
        assert_eq!(names(&mut session).await?, ["kept"]);
        Ok(())
    })
}

/// Ports `orm/test_transaction.SavepointTest.test_expunge_pending_on_rollback` and
/// `SessionTransactionTest.test_nested_accounting_new_items_removed`.
#[test]
fn what_was_added_in_a_savepoint_is_no_more() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut nested = session.begin_nested().await?;
        let u1 = nested.add(user("newuser"));
        assert!(nested.contains(&u1));
        nested.rollback().await?;
        assert!(!session.contains(&u1));
        session.commit().await?;
        assert!(names(&mut session).await?.is_empty());
        Ok(())
    })
}

/// Ports `orm/test_transaction.SavepointTest.test_update_deleted_on_rollback` and
/// `SessionTransactionTest.test_nested_accounting_deleted_items_restored`.
#[test]
fn what_was_deleted_in_a_savepoint_is_there_again() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("newuser"));
        session.commit().await?;
        let mut nested = session.begin_nested().await?;
        nested.delete(&u1)?;
        nested.flush().await?;
        assert!(nested.get::<User>(u1.get().id).await?.is_none());
        nested.rollback().await?;
        assert_eq!(u1.state(), InstanceState::Persistent);
        assert!(session.get_one::<User>(u1.get().id).await?.is(&u1));
        session.delete(&u1)?;
        session.commit().await?;
        assert!(names(&mut session).await?.is_empty());
        Ok(())
    })
}

/// Ports `orm/test_transaction.SessionTransactionTest.test_dirty_state_transferred_deep_nesting` and
/// `test_nested_transaction`.
#[test]
fn savepoints_within_savepoints() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("u1"));
        session.commit().await?;
        let mut one = session.begin_nested().await?;
        let two = one.begin_nested().await?;
        u1.edit().name = "u2".to_owned();
        two.commit().await?;
        assert_eq!(names(&mut one).await?, ["u2"]);
        let mut three = one.begin_nested().await?;
        u1.edit().name = "u3".to_owned();
        three.flush().await?;
        three.rollback().await?;
        assert_eq!(u1.get().name, "u2");
        one.rollback().await?;
        assert_eq!(u1.get().name, "u1");
        session.commit().await?;
        assert_eq!(names(&mut session).await?, ["u1"]);
        Ok(())
    })
}

/// Ports `orm/test_transaction.SavepointTest.test_savepoint_lost_still_runs` and
/// `ContextManagerPlusFutureTest.test_contextmanager_nested_rollback`: a guard that goes has its part undone.
#[test]
fn a_guard_that_goes_undoes_its_part() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(user("kept"));
        let failed: Result<()> = async {
            let mut nested = session.begin_nested().await?;
            nested.add(user("lost"));
            nested.flush().await?;
            Err(Mistake::new("mice").into())
        }
        .await;
        assert!(failed.is_err());
        assert!(!session.in_nested_transaction());
        assert_eq!(names(&mut session).await?, ["kept"]);
        session.commit().await?;
        assert_eq!(names(&mut session).await?, ["kept"]);
        Ok(())
    })
}

/// Ports `orm/test_transaction.RollbackRecoverTest.test_pk_violation_with_savepoint`.
#[test]
fn a_savepoint_contains_a_flush_that_fails() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let a1 = session.add(item("foo", 1));
        session.commit().await?;
        a1.edit().rank = Some(2);
        let mut nested = session.begin_nested().await?;
        let a2 = nested.add(item("foo", 3));
        assert!(nested.flush().await.is_err());
        assert!(!nested.is_active());
        nested.rollback().await?;
        assert!(session.is_active());
        assert_eq!(
            (a1.get().rank, a2.state()),
            (Some(2), InstanceState::Detached)
        );
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(
            connection.execute(select::<Item>()).await?.one()?,
            item("foo", 2)
        );
        Ok(())
    })
}

/// Ports `orm/test_transaction.CleanSavepointTest.test_rollback_ignores_clean_on_savepoint`: what was not
/// touched is as good as before.
#[test]
fn what_a_savepoint_has_not_touched_stays() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (u1, u2) = (session.add(user("u1")), session.add(user("u2")));
        session.commit().await?;
        session.refresh(&u1).await?;
        session.refresh(&u2).await?;
        let mut nested = session.begin_nested().await?;
        u2.edit().name = "u2modified".to_owned();
        nested.flush().await?;
        nested.rollback().await?;
        assert!(!u1.is_expired());
        assert_eq!(
            (u1.get().name.as_str(), u2.get().name.as_str()),
            ("u1", "u2")
        );
        Ok(())
    })
}

/// Ports `orm/test_transaction.CleanSavepointTest.test_rollback_ignores_clean_on_savepoint_agg_upd_eval` and
/// `test_rollback_ignores_clean_on_savepoint_agg_upd_fetch`: a statement in it is undone as well.
#[test]
fn a_statement_in_a_savepoint_is_undone() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("u1"));
        session.commit().await?;
        session.refresh(&u1).await?;
        let mut nested = session.begin_nested().await?;
        nested
            .execute(update().set(User::NAME, "u2").filter(User::NAME.eq("u1")))
            .await?;
        nested.refresh(&u1).await?;
        assert_eq!(u1.get().name, "u2");
        nested.rollback().await?;
        assert_eq!(u1.get().name, "u1");
        assert_eq!(names(&mut session).await?, ["u1"]);
        Ok(())
    })
}

/// Ports `orm/test_transaction.NaturalPKRollbackTest.test_key_replaced_by_update_nested`.
#[test]
fn a_key_is_what_it_was() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(item("u1", 1));
        session.commit().await?;
        let mut nested = session.begin_nested().await?;
        let u2 = nested.add(item("u2", 2));
        nested.flush().await?;
        u1.edit().name = "u3".to_owned();
        nested.flush().await?;
        nested.rollback().await?;
        assert_eq!(u2.state(), InstanceState::Detached);
        assert!(
            session
                .get::<Item>("u1")
                .await?
                .expect("it is back")
                .is(&u1)
        );
        assert!(session.get::<Item>("u3").await?.is_none());
        session.commit().await
    })
}

/// What was read in a savepoint only may be what is undone.
#[test]
fn what_was_read_in_a_savepoint_is_read_again() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let mut nested = session.begin_nested().await?;
        nested
            .execute(update().set(User::NAME, "J").filter(User::ID.eq(7)))
            .await?;
        let jack = nested.get_one::<User>(7).await?;
        assert_eq!(jack.get().name, "J");
        nested.rollback().await?;
        assert!(jack.is_expired());
        assert_eq!(session.get_one::<User>(7).await?.get().name, "jack");
        assert_eq!(jack.get().name, "jack");
        Ok(())
    })
}

/// A savepoint is ended by its guard.
#[test]
fn a_savepoint_is_ended_by_its_guard() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut nested = session.begin_nested().await?;
        error_of::<InvalidRequestError>((*nested).commit().await);
        error_of::<InvalidRequestError>((*nested).rollback().await);
        nested.add(user("u"));
        nested.commit().await?;
        assert_eq!(names(&mut session).await?, ["u"]);
        Ok(())
    })
}
