//! Results, buffered and as they come.

use asyncio_core::Result;
use asyncio_db::sql::{
    Engine, MultipleResultsFound, NoResultFound, RowMapping, Value, ValueError, func, insert,
    select, text,
};

use crate::support::{Db, User, both, error_of, users};

/// SQLAlchemy's nineteen users.
async fn nineteen(engine: &Engine) -> Result<()> {
    engine
        .begin_with(async |connection| {
            let users = (1..20).map(named).collect::<Vec<_>>();
            connection.execute(insert().rows(&users)).await?;
            Ok(())
        })
        .await
}

fn named(id: i64) -> User {
    User {
        id,
        name: format!("name{id}"),
    }
}

fn names() -> Vec<String> {
    (1..20).map(|id| format!("name{id}")).collect()
}

fn is_mapping(row: &RowMapping, id: i64) -> bool {
    row.items().collect::<Vec<_>>()
        == [
            ("id", Value::Integer(id)),
            ("name", Value::Text(format!("name{id}"))),
        ]
}

/// Ports `test_engine.AsyncResultTest.test_all`: rows, scalars, mappings.
#[test]
fn all_rows_are_there() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let rows = select::<User>().order_by(User::ID);
        let all: Vec<_> = (1..20).map(named).collect();
        assert_eq!(connection.stream(rows.clone()).await?.all().await?, all);
        assert_eq!(connection.execute(rows.clone()).await?.all(), all);
        let name = rows.clone().columns(User::NAME);
        assert_eq!(
            connection
                .stream(name.clone())
                .await?
                .scalars()
                .all()
                .await?,
            names()
        );
        let mappings = connection.execute(rows).await?.mappings();
        assert!((1..20).zip(&mappings).all(|(id, row)| is_mapping(row, id)));
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_aiter`.
#[test]
fn rows_come_one_after_the_other() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let mut stream = connection
            .stream(select::<User>().order_by(User::ID))
            .await?;
        let mut next = 1;
        while let Some(user) = stream.next().await? {
            assert_eq!(user, named(next));
            next += 1;
        }
        assert_eq!(next, 20);
        assert_eq!(stream.next().await?, None);
        drop(stream);
        let mut names = Vec::new();
        let name = select::<User>().columns(User::NAME).order_by(User::ID);
        let mut stream = connection.stream(name).await?.scalars();
        while let Some(name) = stream.next().await? {
            names.push(name);
        }
        assert_eq!(names, self::names());
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_keys`.
#[test]
fn a_result_has_keys() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let result = connection.execute(select::<User>()).await?;
        assert_eq!(result.keys(), ["id", "name"]);
        let mappings = result.mappings();
        assert_eq!(mappings[0].keys().collect::<Vec<_>>(), ["id", "name"]);
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_unique_all`.
#[test]
fn each_once() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let twice =
            text("SELECT id, name FROM users UNION ALL SELECT id, name FROM users ORDER BY 1");
        let result = connection.execute(twice.columns::<(i64, String)>()).await?;
        let rows = result.unique().all();
        assert_eq!(rows.len(), 19);
        assert_eq!(rows[0], (1, "name1".to_owned()));
        let both = text("SELECT 7 UNION ALL SELECT 7").columns::<(i64,)>();
        assert_eq!(connection.scalars(both).await?.unique().all(), [7]);
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_columns_all`.
#[test]
fn some_columns_only() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let name = select::<User>().columns(User::NAME).order_by(User::ID);
        let rows = connection.stream(name).await?.all().await?;
        assert_eq!(rows[0], ("name1".to_owned(),));
        let turned = select::<User>()
            .columns((User::NAME, User::ID))
            .order_by(User::ID);
        assert_eq!(
            connection.execute(turned).await?.first(),
            Some(("name1".to_owned(), 1))
        );
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_partitions`.
#[test]
fn rows_come_in_parts() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let all: Vec<_> = (1..20).map(named).collect();
        for size in [2, 5, 10] {
            let rows = select::<User>().order_by(User::ID);
            let mut stream = connection.stream(rows.clone()).await?;
            let mut parts = Vec::new();
            while let Some(part) = stream.next_partition(size).await? {
                parts.push(part);
            }
            drop(stream);
            let expected: Vec<_> = all.chunks(size).map(<[_]>::to_vec).collect();
            assert_eq!(parts, expected);
            let result = connection.execute(rows.clone()).await?;
            assert_eq!(result.partitions(size).collect::<Vec<_>>(), expected);
            let ids = connection
                .scalars(rows.columns(User::ID))
                .await?
                .partitions(size);
            assert_eq!(
                ids.flatten().collect::<Vec<_>>(),
                (1..20).collect::<Vec<i64>>()
            );
        }
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_one_success`.
#[test]
fn one_row_is_one() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let first = select::<User>().order_by(User::ID).limit(1);
        assert_eq!(
            connection.stream(first.clone()).await?.one().await?,
            named(1)
        );
        assert_eq!(connection.execute(first.clone()).await?.one()?, named(1));
        let id = first.clone().columns(User::ID);
        assert_eq!(
            connection.stream(id.clone()).await?.scalars().one().await?,
            1
        );
        assert_eq!(connection.execute(id).await?.scalar_one()?, 1);
        assert!(is_mapping(
            &connection.execute(first).await?.mappings()[0],
            1
        ));
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_one_no_result`.
#[test]
fn no_row_is_not_one() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let none = select::<User>().filter(User::NAME.eq("nonexistent"));
        let error = error_of::<NoResultFound>(connection.stream(none.clone()).await?.one().await);
        assert_eq!(error.to_string(), "no row was found when one was required");
        error_of::<NoResultFound>(connection.execute(none.clone()).await?.one());
        assert_eq!(connection.execute(none.clone()).await?.one_or_none()?, None);
        assert_eq!(connection.execute(none).await?.first(), None);
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_one_multi_result`.
#[test]
fn several_rows_are_not_one() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let two = select::<User>().filter(User::NAME.is_in(["name3", "name5"]));
        let error =
            error_of::<MultipleResultsFound>(connection.stream(two.clone()).await?.one().await);
        assert_eq!(
            error.to_string(),
            "multiple rows were found when exactly one was required"
        );
        error_of::<MultipleResultsFound>(connection.execute(two.clone()).await?.one_or_none());
        error_of::<MultipleResultsFound>(connection.execute(two).await?.scalars().one());
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_scalars` and `test_stream_scalar`.
#[test]
fn scalars_are_the_first_of_each_row() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let rows = select::<User>()
            .columns((User::ID, User::NAME))
            .order_by(User::ID);
        let ids: Vec<i64> = (1..20).collect();
        assert_eq!(connection.scalars(rows.clone()).await?.all(), ids);
        assert_eq!(
            connection
                .stream(rows.clone())
                .await?
                .scalars()
                .all()
                .await?,
            ids
        );
        assert_eq!(connection.scalar(rows.clone()).await?, Some(1));
        assert_eq!(
            connection.stream(rows).await?.scalars().first().await?,
            Some(1)
        );
        Ok(())
    })
}

/// Ports `test_engine.AsyncResultTest.test_stream_fetch_many_not_complete`, `test_cursor_close`,
/// `test_stream_ctxmanager` and `test_stream_scalars_ctxmanager`.
#[test]
fn a_stream_may_be_left_in_the_middle() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let many = "SELECT a.id FROM users a, users b, users c ORDER BY a.id";
        let many = text(many).columns::<(i64,)>();
        let mut stream = connection.stream(many.clone()).await?;
        assert_eq!(stream.fetchmany(5).await?.len(), 5);
        assert_eq!(stream.fetchmany(10).await?.len(), 10);
        stream.close();
        assert_eq!(
            connection
                .scalar(select::<User>().columns(func::count()))
                .await?,
            Some(19)
        );
        let mut ids = connection.stream(many).await?.scalars();
        assert_eq!(ids.next().await?, Some(1));
        drop(ids);
        assert_eq!(
            connection.scalar(text("SELECT 1")).await?,
            Some(Value::Integer(1))
        );
        Ok(())
    })
}

/// Ports `test_session.AsyncSessionQueryTest.test_stream_partitions`.
#[test]
fn instances_come_in_parts() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let mut stream = session.stream(select::<User>().order_by(User::ID)).await?;
        let mut parts = Vec::new();
        while let Some(part) = stream.next_partition(3).await? {
            let part: Vec<User> = part.iter().map(|it| (*it.get()).clone()).collect();
            parts.push(part);
        }
        assert_eq!(parts, [&users()[..3], &users()[3..]]);
        Ok(())
    })
}

/// Ports `sql/test_resultset.CursorResultTest.test_fetchmany` and `test_fetchone_til_end`.
#[test]
fn rows_are_taken_bit_by_bit() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let mut result = connection
            .execute(select::<User>().order_by(User::ID))
            .await?;
        assert_eq!(result.fetchone(), Some(named(1)));
        assert_eq!(result.fetchmany(2), [named(2), named(3)]);
        assert_eq!(result.by_ref().count(), 16);
        assert_eq!(result.fetchone(), None);
        assert!(result.all().is_empty());
        Ok(())
    })
}

/// Ports `sql/test_resultset.CursorResultTest.test_row_iteration`, `test_row_comparison`, `test_len` and
/// `test_row_getitem_indexes_raw`.
#[test]
fn a_row_is_what_it_consists_of() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let jack = text("SELECT id, name FROM users WHERE id = :id").bind("id", 7);
        let row = connection.execute(jack.clone()).await?.one()?;
        assert_eq!(row.len(), 2);
        assert_eq!(
            (row.get::<i64>(0)?, row.get::<String>(1)?),
            (7, "jack".to_owned())
        );
        assert_eq!(row, connection.execute(jack).await?.one()?);
        let ed = text("SELECT id, name FROM users WHERE id = 8");
        assert_ne!(row, connection.execute(ed).await?.one()?);
        assert_eq!(format!("{row:?}"), "(7, jack)");
        Ok(())
    })
}

/// Ports `sql/test_resultset.CursorResultTest.test_column_accessor_basic_text`, `test_column_accessor_err`,
/// `test_row_getitem_string` and `test_row_mapping_get`.
#[test]
fn a_row_knows_its_columns_by_name() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let jack = text("SELECT id, name FROM users WHERE id = 7");
        let row = connection.execute(jack).await?.one()?;
        assert_eq!(row.named::<String>("name")?, "jack");
        error_of::<ValueError>(row.named::<i64>("no_such").map_err(Into::into));
        error_of::<ValueError>(row.get::<i64>(2).map_err(Into::into));
        let error = row.get::<i64>(1).expect_err("it is text").to_string();
        assert!(
            error.contains("name") && error.contains("not an integer"),
            "{error}"
        );
        Ok(())
    })
}

/// Ports `sql/test_resultset.CursorResultTest.test_mappings` and `test_items`.
#[test]
fn a_mapping_has_items() -> Result<()> {
    both(async |db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        let rows = connection
            .execute(text("SELECT id, name FROM users WHERE id = 3"))
            .await?
            .mappings();
        assert!(is_mapping(&rows[0], 3));
        assert_eq!(rows[0].get::<i64>("id")?, 3);
        Ok(())
    })
}

/// Ports `sql/test_resultset.CursorResultTest.test_keys_no_rows` as far as it goes: without rows only what the
/// types say is known. And `test_no_rowcount_on_selects_inserts`: how many rows there were is known here.
#[test]
fn a_result_says_how_many_rows_it_is_about() -> Result<()> {
    both(async |db: Db| {
        nineteen(&db.engine).await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(connection.execute(select::<User>()).await?.rowcount(), 19);
        let rename = asyncio_db::sql::update()
            .set(User::NAME, "x")
            .filter(User::ID.lt(4));
        assert_eq!(connection.execute(rename).await?.rowcount(), 3);
        let delete = text("DELETE FROM users WHERE id > :id").bind("id", 10);
        assert_eq!(connection.execute(delete).await?.rowcount(), 9);
        let none = connection
            .execute(select::<User>().filter(User::ID.eq(99)))
            .await?;
        assert!(none.keys().is_empty());
        assert_eq!(none.rowcount(), 0);
        Ok(())
    })
}
