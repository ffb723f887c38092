//! What counts as outdated, and is read again.

use asyncio_core::Result;
use asyncio_db::sql::{InvalidRequestError, select, text};

use crate::support::{User, both, error_of, user};

/// Ports `orm/test_expire.ExpireTest.test_expire` and `test_get_refreshes`.
#[test]
fn what_is_expired_is_read_again() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        jack.edit().name = "an edit that is given up".to_owned();
        session.expire(&jack)?;
        assert!(jack.is_expired() && !jack.is_modified());
        assert_eq!(jack.get().name, "jack");
        db.said();
        assert!(session.get_one::<User>(7).await?.is(&jack));
        assert!(!jack.is_expired());
        assert_eq!(db.done(), ["SELECT users"]);
        session.get_one::<User>(7).await?;
        assert!(db.said().is_empty());
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_get_on_deleted_expunges` and `test_refresh_on_deleted_raises`.
#[test]
fn what_is_gone_is_not_found() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session.expire_all();
        session
            .execute(text("DELETE FROM users WHERE id = 7"))
            .await?;
        assert!(session.get::<User>(7).await?.is_none());
        let error = error_of::<InvalidRequestError>(session.refresh(&jack).await);
        assert!(error.to_string().contains("could not refresh"));
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_rollback_undoes_expunge_from_deleted`.
#[test]
fn what_was_gone_is_found_after_a_rollback() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session.expire_all();
        session
            .execute(text("DELETE FROM users WHERE id = 7"))
            .await?;
        assert!(session.get::<User>(7).await?.is_none());
        session.rollback().await?;
        assert!(session.get_one::<User>(7).await?.is(&jack));
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_refresh_cancels_expire`.
#[test]
fn refresh_ends_expiry() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session.expire(&jack)?;
        session.refresh(&jack).await?;
        db.said();
        assert_eq!(session.get_one::<User>(7).await?.get().name, "jack");
        assert!(db.said().is_empty());
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_expire_doesntload_on_set` and `test_expire_preserves_changes`.
#[test]
fn an_edit_of_what_is_expired_is_kept() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session.expire(&jack)?;
        db.said();
        jack.edit().name = "somenewname".to_owned();
        assert!(db.said().is_empty());
        // Reading the row again does not undo it.
        assert!(session.get_one::<User>(7).await?.is(&jack));
        assert_eq!(jack.get().name, "somenewname");
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        let name = select::<User>().columns(User::NAME).filter(User::ID.eq(7));
        assert_eq!(
            connection.scalar(name).await?.as_deref(),
            Some("somenewname")
        );
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_persistence_check`, `test_no_session` and `test_pending_raises`.
#[test]
fn what_is_not_of_a_session_does_not_expire() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        session.expunge_all();
        error_of::<InvalidRequestError>(session.expire(&jack).map_err(Into::into));
        let new = session.add(user("new"));
        session.expire(&new)?;
        assert!(!new.is_expired(), "there is nothing to be read");
        error_of::<InvalidRequestError>(session.expire(&jack).map_err(Into::into));
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_expire_all`.
#[test]
fn all_expire() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let all = session.scalars(select::<User>()).await?.all();
        session.expire_all();
        assert!(all.iter().all(asyncio_db::sql::Instance::is_expired));
        drop(session.scalars(select::<User>()).await?);
        assert!(!all.iter().any(asyncio_db::sql::Instance::is_expired));
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_expire_committed`: a query brings it up to date.
#[test]
fn a_query_reads_what_is_expired_and_leaves_what_is_not() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let all = session
            .scalars(select::<User>().order_by(User::ID))
            .await?
            .all();
        session.execute(text("UPDATE users SET name = 'x'")).await?;
        session.expire(&all[0])?;
        drop(session.scalars(select::<User>()).await?);
        assert_eq!(
            (all[0].get().name.as_str(), all[1].get().name.as_str()),
            ("x", "ed")
        );
        Ok(())
    })
}

/// Ports `orm/test_expire.ExpireTest.test_expire_autoflush`: what was edited is flushed before it is read.
#[test]
fn refresh_flushes_first() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let jack = session.get_one::<User>(7).await?;
        jack.edit().name = "jacko".to_owned();
        db.said();
        session.refresh(&jack).await?;
        assert_eq!(db.done(), ["UPDATE users", "SELECT users"]);
        assert_eq!(jack.get().name, "jacko");
        session.rollback().await
    })
}
