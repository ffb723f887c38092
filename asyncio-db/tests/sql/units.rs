//! The unit of work: what a flush writes, and in which order.

use asyncio_core::Result;
use asyncio_db::sql::{InvalidRequestError, PendingRollbackError, StaleDataError, select, text};

use crate::support::{Address, Item, Node, User, both, error_of, item, user};

fn address(user_id: impl Into<Option<i64>>, text: &str) -> Address {
    Address {
        id: 0,
        user_id: user_id.into(),
        email_address: text.to_owned(),
    }
}

fn node(data: &str) -> Node {
    Node {
        id: 0,
        parent_id: None,
        data: data.to_owned(),
    }
}

/// Ports `orm/test_unitofworkv2.RudimentaryFlushTest.test_one_to_many_save` and `test_many_to_one_save`: who is
/// referred to is inserted first, whatever was added first.
#[test]
fn who_is_referred_to_is_inserted_first() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (a1, a2) = (
            session.add(address(None, "a1")),
            session.add(address(None, "a2")),
        );
        let u1 = session.add(user("u1"));
        a1.relate(Address::USER_ID, &u1);
        a2.relate(Address::USER_ID, &u1);
        session.flush().await?;
        assert_eq!(
            db.done(),
            ["INSERT users", "INSERT addresses", "INSERT addresses"]
        );
        let id = u1.get().id;
        assert_eq!((a1.get().user_id, a2.get().user_id), (Some(id), Some(id)));
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        let kept = select::<Address>().filter(Address::USER_ID.eq(id));
        assert_eq!(connection.execute(kept).await?.all().len(), 2);
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.RudimentaryFlushTest.test_one_to_many_delete_all` and
/// `test_many_to_one_delete_all`: who refers is deleted first.
#[test]
fn who_refers_is_deleted_first() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("u1"));
        let a1 = session.add(address(None, "a1"));
        a1.relate(Address::USER_ID, &u1);
        session.commit().await?;
        db.said();
        session.delete(&u1)?;
        session.delete(&a1)?;
        session.flush().await?;
        assert_eq!(db.done(), ["DELETE addresses", "DELETE users"]);
        session.commit().await
    })
}

/// Ports `orm/test_unitofworkv2.RudimentaryFlushTest.test_one_to_many_delete_parent`: who refers to nobody any
/// more is changed before who was referred to is deleted.
#[test]
fn who_refers_no_more_is_changed_before() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u1 = session.add(user("u1"));
        let a1 = session.add(address(None, "a1"));
        a1.relate(Address::USER_ID, &u1);
        session.commit().await?;
        db.said();
        session.delete(&u1)?;
        a1.edit().user_id = None;
        session.flush().await?;
        assert_eq!(db.done(), ["UPDATE addresses", "DELETE users"]);
        session.commit().await
    })
}

/// Ports `orm/test_unitofworkv2.RudimentaryFlushTest.test_natural_ordering`.
#[test]
fn keys_that_were_given_are_put_in_order_too() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(address(1, "a1"));
        session.add(User {
            id: 1,
            name: "u1".to_owned(),
        });
        session.flush().await?;
        assert_eq!(db.done(), ["INSERT users", "INSERT addresses"]);
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.SingleCycleTest.test_one_to_many_save`, `test_many_to_one_save` and
/// `test_bidirectional_multilevel_save`, and `RudimentaryFlushTest.test_natural_selfref`.
#[test]
fn rows_of_one_table_wait_for_one_another() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let leaf = session.add(node("leaf"));
        let middle = session.add(node("middle"));
        let root = session.add(node("root"));
        leaf.relate(Node::PARENT_ID, &middle);
        middle.relate(Node::PARENT_ID, &root);
        session.commit().await?;
        assert_eq!(middle.get().parent_id, Some(root.get().id));
        assert_eq!(leaf.get().parent_id, Some(middle.get().id));
        // Those that were added in order need nothing of that.
        session.add(Node {
            id: 100,
            parent_id: None,
            data: "a".to_owned(),
        });
        session.add(Node {
            id: 101,
            parent_id: Some(100),
            data: "b".to_owned(),
        });
        session.commit().await
    })
}

/// Ports `orm/test_cycles.SelfReferentialTest.test_cycle` as it ends here: a circle has no beginning.
#[test]
fn a_circle_has_no_beginning() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (one, other) = (session.add(node("one")), session.add(node("other")));
        one.relate(Node::PARENT_ID, &other);
        other.relate(Node::PARENT_ID, &one);
        let error = error_of::<InvalidRequestError>(session.flush().await);
        assert!(error.to_string().contains("circle"));
        session.rollback().await?;
        // But it can be made of rows that are there.
        let (one, other) = (session.add(node("one")), session.add(node("other")));
        session.flush().await?;
        one.relate(Node::PARENT_ID, &other);
        other.relate(Node::PARENT_ID, &one);
        session.commit().await?;
        assert_eq!(one.get().parent_id, Some(other.get().id));
        Ok(())
    })
}

/// Ports `orm/test_unitofwork.SaveTest.test_basic`, `test_dont_update_blanks` and
/// `orm/test_unitofworkv2.TypeWoBoolTest.test_no_update_no_change`: of a row that is there only what has
/// changed is written.
#[test]
fn what_has_changed_is_written_and_nothing_else() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (x, y) = (session.add(item("x", 1)), session.add(item("y", 2)));
        session.flush().await?;
        db.said();
        session.flush().await?;
        x.edit().rank = Some(1);
        session.flush().await?;
        assert!(db.said().is_empty());
        x.edit().rank = None;
        session.flush().await?;
        let said = db.said();
        assert_eq!(said.len(), 1);
        let (place, key) = if db.is_sqlite() {
            ("?", "?")
        } else {
            ("$1", "$2")
        };
        assert_eq!(
            said[0],
            format!(r#"UPDATE "items" SET "rank" = {place} WHERE "name" = {key}"#)
        );
        y.edit().name = "z".to_owned();
        session.commit().await?;
        let said = db.said();
        assert_eq!(
            said[0],
            format!(r#"UPDATE "items" SET "name" = {place} WHERE "name" = {key}"#)
        );
        let mut connection = db.engine.connect().await?;
        let all = connection
            .execute(select::<Item>().order_by(Item::NAME))
            .await?
            .all();
        assert_eq!(all, [item("x", None), item("z", 2)]);
        Ok(())
    })
}

/// Ports `orm/test_unitofwork.PKTest.test_primary_key`, `test_manual_pk` and `test_key_pks`: keys that the
/// database gives, and those that the program does.
#[test]
fn keys_are_given_by_either() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let manual = session.add(User {
            id: 500,
            name: "manual".to_owned(),
        });
        let given = session.add_all([user("a"), user("b"), user("c")]);
        session.flush().await?;
        assert_eq!(manual.get().id, 500);
        let mut ids: Vec<i64> = given.iter().map(|it| it.get().id).collect();
        assert!(ids.iter().all(|id| *id != 0));
        ids.dedup();
        assert_eq!(ids.len(), 3);
        for instance in &given {
            let found = session.get_one::<User>(instance.get().id).await?;
            assert!(found.is(instance));
        }
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.BatchInsertsTest.test_batch_interaction` and
/// `orm/test_unitofwork.SaveTest.test_batch_mode`: each gets the key of its own row.
#[test]
fn many_are_inserted_at_once() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let mut all = Vec::new();
        for number in 0..200 {
            // Every third one has a key, so that the statements differ.
            let id = if number % 3 == 0 { 1_000 + number } else { 0 };
            all.push(session.add(User {
                id,
                name: format!("name{number}"),
            }));
        }
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        for (number, instance) in all.iter().enumerate().step_by(7) {
            let user = connection
                .execute(select::<User>().filter(User::ID.eq(instance.get().id)))
                .await?;
            assert_eq!(user.one()?.name, format!("name{number}"));
        }
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.BasicStaleChecksTest.test_update_single_missing`.
#[test]
fn a_row_that_is_not_there_cannot_be_changed() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let x = session.add(item("x", 1));
        session.commit().await?;
        session.execute(text("DELETE FROM items")).await?;
        x.edit().rank = Some(2);
        let error = error_of::<StaleDataError>(session.flush().await);
        assert_eq!(
            error
                .downcast_ref::<StaleDataError>()
                .expect("it is one")
                .table(),
            "items"
        );
        assert!(error.to_string().contains("updated"));
        error_of::<PendingRollbackError>(session.flush().await);
        session.rollback().await?;
        session.refresh(&x).await?;
        assert_eq!(x.get().rank, Some(1));
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.BasicStaleChecksTest.test_delete_twice` and `test_delete_multi_missing_warning`.
/// DIFFERENCE: it is an error, which SQLAlchemy only warns of.
#[test]
fn a_row_that_is_not_there_cannot_be_deleted() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (x, y) = (session.add(item("x", 1)), session.add(item("y", 2)));
        session.commit().await?;
        session
            .execute(text("DELETE FROM items WHERE name = 'x'"))
            .await?;
        session.delete(&x)?;
        session.delete(&y)?;
        let error = error_of::<StaleDataError>(session.commit().await);
        assert!(error.to_string().contains("deleted"));
        session.rollback().await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(connection.execute(select::<Item>()).await?.all().len(), 2);
        Ok(())
    })
}

/// Two sessions change the same row: the second finds it deleted.
#[test]
fn a_row_that_another_has_deleted_is_stale() -> Result<()> {
    both(async |db| {
        let mut one = db.session();
        let x = one.add(item("x", 1));
        one.commit().await?;
        let mut two = db.session();
        let same = two.get_one::<Item>("x").await?;
        two.delete(&same)?;
        two.commit().await?;
        x.edit().rank = Some(9);
        error_of::<StaleDataError>(one.commit().await);
        one.rollback().await?;
        assert!(one.get::<Item>("x").await?.is_none());
        Ok(())
    })
}

/// Ports `orm/test_unitofworkv2.RowswitchAccountingTest.test_switch_on_update` in what applies: a key is free
/// once who had it is gone, which takes a flush.
#[test]
fn a_key_is_free_once_its_row_is_gone() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let x = session.add(item("x", 1));
        session.commit().await?;
        session.delete(&x)?;
        session.flush().await?;
        let new = session.add(item("x", 2));
        session.commit().await?;
        assert!(session.get_one::<Item>("x").await?.is(&new));
        Ok(())
    })
}

/// Ports `orm/test_unitofwork.ForeignPKTest.test_basic` in what it is about: one flush for rows of several
/// tables, new ones and old ones.
#[test]
fn one_flush_for_all() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let (u1, x) = (session.add(user("u1")), session.add(item("x", 1)));
        session.commit().await?;
        let u2 = session.add(user("u2"));
        let a = session.add(address(None, "a"));
        a.relate(Address::USER_ID, &u2);
        u1.edit().name = "u1!".to_owned();
        session.delete(&x)?;
        db.said();
        session.commit().await?;
        let done = [
            "INSERT users",
            "INSERT addresses",
            "UPDATE users",
            "DELETE items",
        ];
        assert_eq!(db.done(), done);
        assert_eq!(a.get().user_id, Some(u2.get().id));
        Ok(())
    })
}

/// Who refers to a row that is in no session, and has no key.
#[test]
fn what_has_no_key_cannot_be_referred_to() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        let u = session.add(user("u"));
        let a = session.add(address(None, "a"));
        a.relate(Address::USER_ID, &u);
        session.expunge(&u)?;
        error_of::<InvalidRequestError>(session.flush().await);
        session.rollback().await
    })
}
