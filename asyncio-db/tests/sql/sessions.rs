//! Sessions: what is in them, and how it gets there.

use asyncio_core::{Result, ValueError as Mistake};
use asyncio_db::sql::{
    Instance, InstanceState, InvalidRequestError, NoResultFound, async_sessionmaker, delete, func,
    insert, select, text, update,
};

use crate::support::{Item, User, both, error_of, item, user, users};

fn names(users: &[Instance<User>]) -> Vec<String> {
    users.iter().map(|it| it.get().name.clone()).collect()
}

/// Ports `test_session.AsyncSessionTest.test_init`.
#[test]
fn a_session_is_of_an_engine() -> Result<()> {
    both(async |db| {
        let session = async_sessionmaker(&db.engine).session();
        assert_eq!(*session.engine(), db.engine);
        assert!(!session.in_transaction() && session.is_active());
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_execute`.
#[test]
fn a_query_gives_instances() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let all = session
            .execute(select::<User>().order_by(User::ID))
            .await?
            .scalars()
            .all();
        let values: Vec<User> = all.iter().map(|it| (*it.get()).clone()).collect();
        assert_eq!(values, users());
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_scalar`.
#[test]
fn a_scalar_is_the_first_of_the_first() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let id = select::<User>()
            .columns(User::ID)
            .order_by(User::ID)
            .limit(1);
        assert_eq!(session.scalar(id).await?, Some(7));
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_scalars`.
#[test]
fn scalars_of_a_table_are_instances() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let query = select::<User>().order_by(User::ID);
        let all = session.scalars(query.clone()).await?.all();
        assert_eq!(names(&all), ["jack", "ed", "fred", "chuck"]);
        let again = session.stream(query).await?.scalars().all().await?;
        assert!(all.iter().zip(&again).all(|(one, other)| one.is(other)));
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_get`, and `orm/test_session.SessionUtilTest.test_get`: what
/// is known is not asked for again.
#[test]
fn get_finds_by_the_key() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get::<User>(7).await?.expect("he is there");
        assert_eq!(jack.get().name, "jack");
        assert_eq!(db.done(), ["SELECT users"]);
        let again = session.get::<User>(7).await?.expect("he is there");
        assert!(again.is(&jack));
        assert!(db.done().is_empty());
        assert!(session.get::<User>(99).await?.is_none());
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_get_one`, and `orm/test_session.SessionUtilTest.test_get_one`
/// and `test_get_one_2`.
#[test]
fn get_one_has_to_find() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        assert_eq!(session.get_one::<User>(7).await?.get().name, "jack");
        error_of::<NoResultFound>(session.get_one::<User>(12345).await.map(drop));
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_session_aclose`, and
/// `orm/test_session.TransScopingTest.test_close`.
#[test]
fn close_forgets_all() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("u"));
        session.commit().await?;
        session.close().await?;
        assert!(!session.contains(&u));
        assert_eq!(u.state(), InstanceState::Detached);
        assert_eq!(u.get().name, "u", "it can be read all the same");
        assert!(
            session.get::<User>(u.get().id).await?.is_some(),
            "it can be used again"
        );
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTest.test_close_all`: the end of a session is that of what it knows.
#[test]
fn the_end_of_a_session_detaches() -> Result<()> {
    both(async |db| {
        let mut one = db.session();
        let mut two = db.session();
        let u1 = one.add(user("u1"));
        let u2 = two.add(user("u2"));
        assert!(one.contains(&u1) && two.contains(&u2) && !one.contains(&u2));
        drop(one);
        assert_eq!(u1.state(), InstanceState::Detached);
        u1.edit().name = "nobody writes it".to_owned();
        assert_eq!(u2.state(), InstanceState::Pending);
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_flush`.
#[test]
fn flush_writes() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut transaction = session.begin().await?;
        transaction.add(user("u1"));
        let count = || select::<User>().columns(func::count_of(User::ID));
        assert_eq!(
            transaction.connection().await?.scalar(count()).await?,
            Some(0)
        );
        transaction.flush().await?;
        assert_eq!(
            transaction.connection().await?.scalar(count()).await?,
            Some(1)
        );
        transaction.commit().await
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_delete`.
#[test]
fn delete_deletes() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut transaction = session.begin().await?;
        let u1 = transaction.add(user("u1"));
        transaction.flush().await?;
        let count = || select::<User>().columns(func::count_of(User::ID));
        assert_eq!(
            transaction.connection().await?.scalar(count()).await?,
            Some(1)
        );
        transaction.delete(&u1)?;
        transaction.flush().await?;
        assert_eq!(
            transaction.connection().await?.scalar(count()).await?,
            Some(0)
        );
        transaction.commit().await?;
        assert_eq!(u1.state(), InstanceState::Detached);
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_refresh`.
#[test]
fn refresh_reads_again() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut transaction = session.begin().await?;
        let u1 = transaction.add(user("u1"));
        transaction.flush().await?;
        let connection = transaction.connection().await?;
        connection.execute(update().set(User::NAME, "u2")).await?;
        assert_eq!(u1.get().name, "u1");
        transaction.refresh(&u1).await?;
        assert_eq!(u1.get().name, "u2");
        let count = select::<User>().columns(func::count_of(User::ID));
        assert_eq!(
            transaction.connection().await?.scalar(count).await?,
            Some(1)
        );
        transaction.commit().await
    })
}

/// Ports `test_session.AsyncSessionTransactionTest.test_merge` and `test_merge_loader_options`.
#[test]
fn merge_takes_values_over() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(User {
            id: 1,
            name: "u1".to_owned(),
        });
        session.commit().await?;
        let new = User {
            id: 1,
            name: "new u1".to_owned(),
        };
        let merged = session.merge(new.clone()).await?;
        assert!(merged.is(&u1));
        assert_eq!(u1.get().name, "new u1");
        session.commit().await?;
        session.close().await?;
        // And where the session knew nothing of it.
        db.said();
        let merged = session
            .merge(User {
                id: 1,
                name: "newer".to_owned(),
            })
            .await?;
        session.commit().await?;
        assert_eq!(merged.get().name, "newer");
        assert_eq!(db.done(), ["SELECT users", "UPDATE users"]);
        Ok(())
    })
}

/// Ports `orm/test_merge.MergeTest.test_transient_to_pending` and `test_merge_iterator` in what applies: what
/// is not there is added.
#[test]
fn merge_adds_what_is_not_there() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let known = session
            .merge(User {
                id: 7,
                name: "fred".to_owned(),
            })
            .await?;
        let new = session.merge(user("new")).await?;
        assert_eq!(
            (known.state(), new.state()),
            (InstanceState::Pending, InstanceState::Pending)
        );
        session.commit().await?;
        assert_eq!(known.get().id, 7);
        assert_ne!(new.get().id, 0);
        Ok(())
    })
}

/// Ports `orm/test_session.SessionStateTest.test_autoflush` and `test_autoflush_2`.
#[test]
fn a_query_sees_what_was_changed() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("ed"));
        let ed = select::<User>().filter(User::NAME.eq("ed"));
        assert!(session.scalars(ed.clone()).await?.one()?.is(&u));
        assert_eq!(u.state(), InstanceState::Persistent);
        u.edit().name = "eddie".to_owned();
        assert!(session.scalars(ed).await?.all().is_empty());
        session.rollback().await
    })
}

/// Ports `orm/test_session.SessionStateTest.test_with_no_autoflush`.
#[test]
fn a_session_may_flush_only_when_it_is_told() -> Result<()> {
    both(async |db| {
        let mut session = db.maker().autoflush(false).session();
        let u = session.add(user("ed"));
        assert!(session.scalars(select::<User>()).await?.all().is_empty());
        session.flush().await?;
        assert!(session.scalars(select::<User>()).await?.one()?.is(&u));
        Ok(())
    })
}

/// Ports `orm/test_session.SessionStateTest.test_add_delete` and `test_deleted_flag`: from one state to the
/// next.
#[test]
fn an_instance_goes_from_state_to_state() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("u"));
        assert_eq!(
            (u.state(), u.is_modified(), session.is_modified()),
            (InstanceState::Pending, true, true)
        );
        error_of::<InvalidRequestError>(session.delete(&u).map_err(Into::into));
        session.flush().await?;
        assert_eq!(
            (u.state(), u.is_modified()),
            (InstanceState::Persistent, false)
        );
        session.delete(&u)?;
        session.delete(&u)?; // twice is once
        assert_eq!(u.state(), InstanceState::Deleted);
        session.flush().await?;
        assert_eq!(
            (u.state(), session.is_modified()),
            (InstanceState::Deleted, false)
        );
        session.commit().await?;
        assert_eq!(u.state(), InstanceState::Detached);
        error_of::<InvalidRequestError>(session.delete(&u).map_err(Into::into));
        Ok(())
    })
}

/// Ports `orm/test_session.SessionStateTest.test_identity_conflict`: two rows of one key are one too many.
#[test]
fn two_of_one_key_conflict() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(item("x", 1));
        session.commit().await?;
        session.add(item("x", 2));
        let error = session.flush().await.expect_err("the key is there");
        assert!(crate::support::is_integrity_error(&error));
        session.rollback().await
    })
}

/// Ports `orm/test_session.SessionStateTest.test_explicit_expunge_pending`, `test_explicit_expunge_deleted` and
/// `test_deleted_auto_expunged`.
#[test]
fn what_is_expunged_is_nobodys() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let new = session.add(user("new"));
        session.expunge(&new)?;
        session.flush().await?;
        assert_eq!(new.state(), InstanceState::Detached);
        let jack = session.get_one::<User>(7).await?;
        session.expunge(&jack)?;
        error_of::<InvalidRequestError>(session.expunge(&jack).map_err(Into::into));
        jack.edit().name = "nobody".to_owned();
        session.commit().await?;
        let again = session.get_one::<User>(7).await?;
        assert!(!again.is(&jack));
        assert_eq!(again.get().name, "jack");
        session.expunge_all();
        assert!(!session.contains(&again));
        Ok(())
    })
}

/// Ports `orm/test_session.SessionStateTest.test_already_attached`: an instance is of one session.
#[test]
fn an_instance_is_of_one_session() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let (mut one, mut two) = (db.session(), db.session());
        let jack = one.get_one::<User>(7).await?;
        error_of::<InvalidRequestError>(two.delete(&jack).map_err(Into::into));
        error_of::<InvalidRequestError>(two.expire(&jack).map_err(Into::into));
        error_of::<InvalidRequestError>(two.refresh(&jack).await);
        Ok(())
    })
}

/// Ports `orm/test_session.IsModifiedTest.test_is_modified`.
#[test]
fn an_instance_says_whether_it_was_changed() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        assert!(!jack.is_modified() && !session.is_modified());
        jack.edit().name = "jack".to_owned(); // the same
        assert!(!jack.is_modified() && !session.is_modified());
        jack.edit().name = "jacko".to_owned();
        assert!(jack.is_modified() && session.is_modified());
        jack.edit().name = "jack".to_owned();
        assert!(!jack.is_modified() && !session.is_modified());
        Ok(())
    })
}

/// Ports `orm/test_session.WeakIdentityMapTest.test_auto_detach_on_gc_session` in what applies: what nobody has
/// is forgotten, and what was changed is not.
#[test]
fn what_nobody_has_is_forgotten_unless_it_was_changed() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        drop(session.get_one::<User>(7).await?);
        db.said();
        let jack = session.get_one::<User>(7).await?;
        assert_eq!(db.done(), ["SELECT users"]);
        jack.edit().name = "jacko".to_owned();
        drop(jack);
        session.commit().await?;
        assert_eq!(session.get_one::<User>(7).await?.get().name, "jacko");
        Ok(())
    })
}

/// Ports `orm/test_session.NewStyleExecutionTest.test_dml_execute`: what a statement changes behind the
/// session's back is read again.
#[test]
fn a_statement_that_changes_rows_has_them_expire() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session
            .execute(update().set(User::NAME, "J").filter(User::ID.eq(7)))
            .await?;
        assert!(jack.is_expired());
        assert_eq!(session.get_one::<User>(7).await?.get().name, "J");
        let ed = session
            .execute(insert().row(&user("new")).returning())
            .await?
            .one()?;
        assert_eq!(ed.state(), InstanceState::Persistent);
        session
            .execute(delete::<User>().filter(User::ID.eq(7)))
            .await?;
        assert!(session.get::<User>(7).await?.is_none());
        Ok(())
    })
}

/// Ports `orm/test_session.ExecutionTest.test_parameter_execute`.
#[test]
fn text_is_executed_with_values() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        for (id, name) in [(7, "u7"), (8, "u8"), (9, "u9")] {
            let insert = text("INSERT INTO users (id, name) VALUES (:id, :name)");
            session
                .execute(insert.bind("id", id).bind("name", name))
                .await?;
        }
        let all = session
            .scalars(select::<User>().order_by(User::ID))
            .await?
            .all();
        assert_eq!(names(&all), ["u7", "u8", "u9"]);
        Ok(())
    })
}

/// Keys that are not numbers, and keys of several columns.
#[test]
fn keys_are_what_they_are() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let x = session.add(item("x", 1));
        session.flush().await?;
        let again = session.get::<Item>("x").await?.expect("it is there");
        assert!(again.is(&x));
        assert!(session.get::<Item>("y").await?.is_none());
        Ok(())
    })
}

/// What is edited by several at once is all kept.
#[test]
fn edits_of_different_columns_go_together() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let x = session.add(item("x", 1));
        session.commit().await?;
        let same = x.clone();
        {
            let mut one = x.edit();
            let mut other = same.edit();
            one.name = "y".to_owned();
            other.rank = Some(2);
        }
        assert_eq!(*x.get(), item("y", 2));
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(
            connection.execute(select::<Item>()).await?.one()?,
            item("y", 2)
        );
        Ok(())
    })
}

/// A function that runs with a session.
#[test]
fn a_sessions_future_can_go_to_any_thread() -> Result<()> {
    both(async |db| {
        let maker = db.maker();
        let work = asyncio_core::create_task(async move {
            let mut session = maker.session();
            let u = session.add(user("u"));
            session.flush().await?;
            session.refresh(&u).await?;
            let mut nested = session.begin_nested().await?;
            nested.merge(user("v")).await?;
            nested.commit().await?;
            let mut stream = session.stream(select::<User>()).await?;
            while stream.next().await?.is_some() {}
            drop(stream);
            session.commit().await?;
            session.close().await?;
            if u.get().id == 0 {
                return Err(Mistake::new("it has no key").into());
            }
            Ok(())
        });
        work.await
    })
}
