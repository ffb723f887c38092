//! Values there and back, rows and their columns, and the limits of statements.

use std::num::NonZeroUsize;

use asyncio_core::Result;
use asyncio_db::sqlite::{Behavior, ErrorClass, SqliteError, ToSql, Value, connect, named};
use futures::TryStreamExt;

use crate::support::{error_of, everywhere, fails};

#[test]
fn values_come_back_as_they_went() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let values = [
            Value::Null,
            Value::Integer(i64::MIN),
            Value::Integer(i64::MAX),
            Value::Real(-0.5),
            Value::Text(String::new()),
            Value::Text("grüße, 世界, a\0b".to_owned()),
            Value::Blob(Vec::new()),
            Value::Blob((0..=255).collect()),
        ];
        for value in &values {
            let rows = db.execute_fetchall("select ?", [value]).await?;
            assert_eq!(rows[0].get::<Value>(0)?, *value);
        }
        let mixed: &[&(dyn ToSql + Sync)] = &[&1_u8, &"two", &None::<i64>, &vec![4_u8]];
        let rows = db.execute_fetchall("select ?, ?, ?, ?", mixed).await?;
        let row = rows[0].decode::<(u8, String, Option<i64>, Vec<u8>)>()?;
        assert_eq!(row, (1, "two".to_owned(), None, vec![4]));
        assert_eq!(
            format!("{:?}", rows[0]),
            r#"{"?": 1, "?": "two", "?": null, "?": 1 bytes}"#
        );
        Ok(())
    })
}

#[test]
fn parameters_have_names() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let sql = "select :a, @b, $c, :a";
        let values = [("a", 1), ("@b", 2), ("$c", 3), ("unused", 4)];
        let rows = db.execute_fetchall(sql, named(values)).await?;
        assert_eq!(rows[0].decode::<(i64, i64, i64, i64)>()?, (1, 2, 3, 1));
        let missing = db.execute(sql, named([("a", 1)])).await;
        assert_eq!(error_of(missing), "there is no value for the parameter @b");
        let many = db.executemany("select :a", [named([("a", 1)])]).await;
        assert_eq!(
            error_of(many),
            "executemany takes its parameters by position"
        );
        Ok(())
    })
}

#[test]
fn what_does_not_fit_is_an_error() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let few = db.execute("select ?, ?", (1,)).await;
        assert_eq!(
            error_of(few),
            "the statement has 2 parameters, and 1 were given"
        );
        let two = db.execute("select 1; select 2", ()).await;
        assert_eq!(
            error_of(two),
            "only one statement can be executed at a time"
        );
        let select = db.executemany("select ?", [(1,)]).await;
        assert_eq!(
            error_of(select),
            "executemany is for statements that change something"
        );
        let rows = db.execute_fetchall("select 'x', 300", ()).await?;
        assert!(
            rows[0]
                .get::<i64>(0)
                .is_err_and(|it| it.class() == ErrorClass::Data)
        );
        assert!(rows[0].get::<u8>(1).is_err());
        assert!(rows[0].decode::<(String,)>().is_err());
        assert_eq!(
            rows[0]
                .get::<i64>("missing")
                .expect_err("no such column")
                .to_string(),
            "there is no column \"missing\""
        );

        db.execute("create table t (i integer unique)", ()).await?;
        db.execute("insert into t values (1)", ()).await?;
        let twice = db.execute("insert into t values (1)", ()).await;
        assert!(fails(&twice, SqliteError::is_constraint_violation));
        assert!(fails(&twice, |it| it.name() == Some("SQLITE_CONSTRAINT_UNIQUE")));
        assert_eq!(error_of(twice), "UNIQUE constraint failed: t.i");
        // All or none.
        let many = db
            .executemany("insert into t values (?)", [(2,), (3,), (1,)])
            .await;
        assert!(many.is_err() && !db.in_transaction());
        assert_eq!(db.execute_fetchall("select * from t", ()).await?.len(), 1);
        Ok(())
    })
}

#[test]
fn rows_come_in_chunks_of_every_size() -> Result<()> {
    everywhere(async |_| {
        for size in [1, 2, 7, 64, 10_000] {
            let size = NonZeroUsize::new(size).expect("it is not zero");
            let db = connect(":memory:").iter_chunk_size(size).await?;
            for count in [0, 1, 2, 63, 64, 65, 1000] {
                let sql = "with recursive t(i) as (select 1 union all select i + 1 from t) \
                    select i, 'row ' || i from t limit ?";
                let mut cursor = db.execute(sql, (count,)).await?;
                let first = cursor.fetchmany(3).await?.len();
                let mut last = i64::try_from(first)?;
                while let Some(row) = cursor.try_next().await? {
                    last += 1;
                    assert_eq!(
                        row.decode::<(i64, String)>()?,
                        (last, format!("row {last}"))
                    );
                }
                assert_eq!(last, count);
                assert!(cursor.fetchone().await?.is_none());
                let rows = db.execute_fetchall(sql, (count,)).await?;
                assert_eq!(i64::try_from(rows.len())?, count);
            }
        }
        Ok(())
    })
}

/// Rows whose texts fill several chunks.
#[test]
fn large_rows_come_whole() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        let sql = "with recursive t(i) as (select 1 union all select i + 1 from t limit 20) \
            select i, zeroblob(300000) from t";
        let mut cursor = db.execute(sql, ()).await?;
        for i in 1..=20 {
            let row = cursor.fetchone().await?.expect("there are twenty");
            assert_eq!(row.get::<i64>(0)?, i);
            assert_eq!(
                row.get_ref(1)?.as_bytes().map(<[u8]>::len).ok(),
                Some(300_000)
            );
        }
        assert!(cursor.fetchone().await?.is_none());
        assert_eq!(db.execute_fetchall(sql, ()).await?.len(), 20);
        Ok(())
    })
}

/// Two cursors of the same statement do not disturb each other, and their end lets others write.
#[test]
fn cursors_overlap() -> Result<()> {
    everywhere(async |folder| {
        let db = connect(folder.db()).await?;
        db.execute("create table t (i integer)", ()).await?;
        db.executemany("insert into t values (?)", (0..500).map(|i| (i,)))
            .await?;
        let mut one = db.execute("select i from t", ()).await?;
        let mut two = db.execute("select i from t", ()).await?;
        for i in 0..500 {
            for cursor in [&mut one, &mut two] {
                let row = cursor.fetchone().await?.expect("there are more");
                assert_eq!(row.get::<i64>(0)?, i);
            }
        }
        let mut three = db.execute("select i from t", ()).await?;
        assert_eq!(three.fetchmany(100).await?.len(), 100);
        drop(one);
        assert_eq!(three.fetchall().await?.len(), 400);
        db.execute("drop table t", ()).await?;
        Ok(())
    })
}

#[test]
fn returning_is_done_as_a_whole() -> Result<()> {
    everywhere(async |folder| {
        let db = connect(folder.db()).await?;
        db.execute("create table t (i integer)", ()).await?;
        let sql = "insert into t with recursive t(i) as \
            (select 1 union all select i + 1 from t limit 200) select i from t returning i";
        let cursor = db.execute(sql, ()).await?;
        assert_eq!(cursor.rowcount(), 200);
        // The lock is not held for the rows that were not read.
        let other = connect(folder.db()).await?;
        other.execute("insert into t values (0)", ()).await?;
        assert_eq!(cursor.try_collect::<Vec<_>>().await?.len(), 200);
        Ok(())
    })
}

#[test]
fn transactions_are_nested() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        db.execute("create table t (i integer)", ()).await?;
        let mut outer = db.transaction(Behavior::Deferred).await?;
        outer.execute("insert into t values (1)", ()).await?;
        {
            let mut inner = outer.transaction().await?;
            inner.execute("insert into t values (2)", ()).await?;
            let innermost = inner.transaction().await?;
            innermost.execute("insert into t values (3)", ()).await?;
            innermost.commit().await?;
            // Dropped, with what was committed inside of it.
        }
        outer
            .with_transaction(async |inner| {
                inner.execute("insert into t values (4)", ()).await?;
                Ok(())
            })
            .await?;
        assert_eq!(
            error_of(db.transaction(Behavior::Deferred).await),
            "cannot start a transaction within a transaction"
        );
        outer.commit().await?;
        let rows = db
            .execute_fetchall("select i from t order by i", ())
            .await?;
        let values: Result<Vec<i64>, _> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(values?, [1, 4]);
        Ok(())
    })
}

/// A dump, read in, gives the same dump.
#[test]
fn a_dump_makes_the_database_again() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:").await?;
        db.executescript(
            "create table \"odd \"\" 'name\" (a, \"b \"\" 'c\");
             insert into \"odd \"\" 'name\" values ('it''s', x'00ff'), (null, 1.5);
             create table counted (id integer primary key autoincrement, t text);
             insert into counted (t) values ('x'), ('y');
             create index by_t on counted (t);
             create view seen as select t from counted;
             create trigger told after insert on counted begin select 1; end;",
        )
        .await?;
        let lines: Vec<String> = db.iterdump().try_collect().await?;
        let again = connect(":memory:").await?;
        again.executescript(&lines.join("\n")).await?;
        let lines_again: Vec<String> = again.iterdump().try_collect().await?;
        assert_eq!(lines, lines_again);
        let rows = again.execute_fetchall("select * from seen", ()).await?;
        assert_eq!(rows.len(), 2);
        let id = again
            .execute_insert("insert into counted (t) values ('z')", ())
            .await?;
        assert_eq!(id, 3);
        Ok(())
    })
}

/// What is set while a transaction is open leaves it open, and what is known of the connection known.
#[test]
fn a_hook_is_set_in_a_transaction() -> Result<()> {
    everywhere(async |_| {
        let db = connect(":memory:")
            .isolation_level(Behavior::Immediate)
            .await?;
        db.execute("create table t (i integer)", ()).await?;
        let transaction = db.transaction(Behavior::Immediate).await?;
        transaction.execute("insert into t values (1)", ()).await?;
        db.set_trace_callback(Some(|_: &str| ())).await?;
        assert!(transaction.is_active().await?);
        transaction.commit().await?;
        db.execute("insert into t values (2)", ()).await?;
        assert!(db.in_transaction());
        let numbers =
            "with recursive t(i) as (select 1 union all select i + 1 from t) select i from t";
        let _reading = db.execute(numbers, ()).await?;
        assert_eq!(
            error_of(db.set_trace_callback(None::<fn(&str)>).await),
            "rows are being read from the connection"
        );
        Ok(())
    })
}

#[test]
fn others_are_served_during_a_backup() -> Result<()> {
    everywhere(async |folder| {
        let db = std::sync::Arc::new(connect(folder.db()).await?);
        db.execute("create table t (i integer, filler blob)", ())
            .await?;
        db.executemany(
            "insert into t values (?, zeroblob(4000))",
            (0..500).map(|i| (i,)),
        )
        .await?;
        let copy = connect(":memory:").await?;
        let served = asyncio_core::create_task({
            let db = std::sync::Arc::clone(&db);
            async move {
                for _ in 0..20 {
                    db.execute_fetchall("select 1", ()).await?;
                }
                Ok(())
            }
        });
        db.backup(&copy).pages(1).await?;
        served.await?;
        let rows = copy.execute_fetchall("select count(*) from t", ()).await?;
        assert_eq!(rows[0].get::<i64>(0)?, 500);
        assert_eq!(
            error_of(db.backup(&db).await),
            "a database cannot be the copy of itself"
        );
        let _reading = copy.execute("select i from t", ()).await?;
        assert_eq!(
            error_of(db.backup(&copy).await),
            "the target of the backup is in use"
        );
        Ok(())
    })
}
