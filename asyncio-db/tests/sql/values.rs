//! Values and statements: the same on both databases.

use asyncio_core::Result;
use asyncio_db::sql::{
    Field as _, InvalidRequestError, MetaData, Table, Value, delete, func, insert, select, text,
    update,
};

use crate::support::{Address, Item, User, both, error_of, is_integrity_error, item, user};

#[derive(Clone, Debug, PartialEq, Table)]
struct Everything {
    #[table(primary_key)]
    small: i16,
    medium: i32,
    large: i64,
    real: f32,
    double: f64,
    text: String,
    bytes: Vec<u8>,
    truth: bool,
    maybe: Option<String>,
    nothing: Option<i64>,
    #[table(column = "type")]
    r#type: String,
}

/// Ports `orm/test_unitofwork.UnicodeTest.test_basic`, `BinaryHistTest.test_binary_equality` and
/// `BooleanColTest.test_boolean`: what is written is what is read.
#[test]
fn what_is_written_is_what_is_read() -> Result<()> {
    both(async |db| {
        let all = Everything {
            small: i16::MIN,
            medium: i32::MIN,
            large: i64::MAX,
            real: 0.5,
            double: 1.0,
            text: "ünïcødé 'quoted' \"twice\" :not $1 ?".to_owned(),
            bytes: vec![0, 255, 39],
            truth: true,
            maybe: Some(String::new()),
            nothing: None,
            r#type: "a word of Rust's".to_owned(),
        };
        let tables = MetaData::new().table::<Everything>();
        db.engine
            .begin_with(async |it| tables.create_all(it).await)
            .await?;
        let mut session = db.session();
        session.add(all.clone());
        session.commit().await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(
            connection.execute(select::<Everything>()).await?.one()?,
            all
        );
        let truth = select::<Everything>()
            .filter(Everything::TRUTH.eq(true))
            .filter(Everything::TRUTH);
        assert_eq!(connection.execute(truth).await?.one()?, all);
        let same = select::<Everything>().filter(Everything::BYTES.eq(all.bytes.clone()));
        assert_eq!(
            connection
                .execute(same.filter(Everything::REAL.gt(0.25)))
                .await?
                .one()?,
            all
        );
        Ok(())
    })
}

/// A number that is too large, a null and a text where there is to be something else.
#[test]
fn what_is_not_of_a_type_is_an_error() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.connect().await?;
        let row = connection
            .execute(text("SELECT 70000 AS n, 'x' AS t, NULL AS n0, 1.5 AS r"))
            .await?
            .one()?;
        assert!(row.get::<i16>(0).is_err());
        assert!(row.get::<bool>(1).is_err());
        let error = row.get::<i64>(2).expect_err("it is null").to_string();
        assert!(error.ends_with("what may be null is an Option"), "{error}");
        assert_eq!(row.get::<Option<i64>>(2)?, None);
        assert_eq!(row.get::<Value>(1)?, Value::from("x"));
        assert_eq!(7_i16.to_value(), Value::Integer(7));
        Ok(())
    })
}

/// Conditions, orders and groups.
#[test]
fn statements_say_what_they_mean() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let mut ids = async |statement: asyncio_db::sql::Select<_>| {
            let ids: Vec<i64> = session
                .scalars(statement.columns(User::ID).order_by(User::ID))
                .await?
                .all();
            Ok::<_, asyncio_core::Exception>(ids)
        };
        let all = select::<User>;
        assert_eq!(ids(all().filter(User::NAME.eq("ed"))).await?, [8]);
        assert_eq!(ids(all().filter(User::NAME.ne("ed"))).await?, [7, 9, 10]);
        assert_eq!(ids(all().filter(User::ID.between(8, 9))).await?, [8, 9]);
        assert_eq!(
            ids(all().filter(User::ID.lt(8).or(User::ID.ge(10)))).await?,
            [7, 10]
        );
        assert_eq!(
            ids(all().filter(!User::ID.le(8).and(User::ID.gt(7)))).await?,
            [7, 9, 10]
        );
        assert_eq!(ids(all().filter(User::NAME.like("%ck"))).await?, [7, 10]);
        assert_eq!(ids(all().filter(User::ID.is_in([7, 9]))).await?, [7, 9]);
        assert_eq!(ids(all().filter(User::ID.not_in([7, 9]))).await?, [8, 10]);
        assert!(
            ids(all().filter(User::ID.is_in([0_i64; 0])))
                .await?
                .is_empty()
        );
        assert_eq!(ids(all().filter_by(User::NAME, "fred")).await?, [9]);
        assert_eq!(ids(all().filter((User::ID + 1).eq(9))).await?, [8]);
        assert_eq!(ids(all().limit(2)).await?, [7, 8]);
        assert_eq!(ids(all().limit(2).offset(1)).await?, [8, 9]);
        let upper = session.scalars(
            select::<User>()
                .columns(func::upper(User::NAME))
                .order_by(User::ID.desc()),
        );
        assert_eq!(upper.await?.first().as_deref(), Some("CHUCK"));
        let span = select::<User>().columns((
            func::min(User::ID),
            func::max(User::ID),
            func::sum(User::ID),
        ));
        assert_eq!(
            session.execute(span).await?.one()?,
            (Some(7), Some(10), Some(34))
        );
        let mean = select::<User>().columns(func::avg(User::ID));
        assert_eq!(session.scalar(mean).await?, Some(Some(8.5)));
        Ok(())
    })
}

/// Null is equal to nothing, and `None` is not asked for by `=`.
#[test]
fn none_is_null() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add_all([item("a", 1), item("b", None), item("c", 3)]);
        let names = |statement: asyncio_db::sql::Select<_>| {
            statement.columns(Item::NAME).order_by(Item::NAME)
        };
        let none = names(select::<Item>().filter(Item::RANK.eq(None)));
        assert_eq!(session.scalars(none).await?.all(), ["b"]);
        let some = names(select::<Item>().filter(Item::RANK.ne(None)));
        assert_eq!(session.scalars(some).await?.all(), ["a", "c"]);
        let null = names(select::<Item>().filter(Item::RANK.is_null().or(Item::RANK.eq(3))));
        assert_eq!(session.scalars(null).await?.all(), ["b", "c"]);
        let last = select::<Item>()
            .columns(Item::NAME)
            .order_by(Item::RANK.desc().nulls_last());
        assert_eq!(session.scalars(last).await?.all(), ["c", "a", "b"]);
        let rank = select::<Item>().columns(func::coalesce(Item::RANK, func::literal(0)));
        assert_eq!(
            session
                .scalars(rank.filter(Item::NAME.eq("b")))
                .await?
                .one()?,
            0
        );
        Ok(())
    })
}

/// Joins, groups and subqueries.
#[test]
fn tables_are_joined() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut session = db.session();
        let address = |user: i64, text: &str| Address {
            id: 0,
            user_id: Some(user),
            email_address: text.to_owned(),
        };
        session.add_all([address(7, "a@x"), address(8, "b@x"), address(8, "c@x")]);
        let pairs = select::<User>()
            .columns((User::NAME, Address::EMAIL_ADDRESS))
            .join::<Address>(Address::USER_ID.eq(User::ID))
            .order_by(Address::ID);
        let pairs = session.execute(pairs).await?.all();
        assert_eq!(pairs[2], ("ed".to_owned(), "c@x".to_owned()));
        let counts = select::<User>()
            .columns((User::NAME, func::count_of(Address::ID)))
            .outerjoin::<Address>(Address::USER_ID.eq(User::ID))
            .group_by(User::NAME)
            .having(func::count_of(Address::ID).lt(2))
            .order_by(User::NAME);
        let counts = session.execute(counts).await?.all();
        let names: Vec<_> = counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        assert_eq!(names, [("chuck", 0), ("fred", 0), ("jack", 1)]);
        let any = select::<Address>()
            .filter(Address::USER_ID.eq(User::ID))
            .exists();
        let with = select::<User>()
            .columns(User::ID)
            .filter(any)
            .order_by(User::ID);
        assert_eq!(session.scalars(with).await?.all(), [7, 8]);
        Ok(())
    })
}

/// `insert`, `update` and `delete`, with and without what they return.
#[test]
fn rows_are_changed_by_statements() -> Result<()> {
    both(async |db| {
        let mut connection = db.engine.begin().await?;
        let new = connection
            .execute(insert().rows(&[user("a"), user("b")]).returning())
            .await?
            .all();
        assert_eq!(new[1].name, "b");
        assert!(new[0].id > 0 && new[1].id > new[0].id);
        connection.execute(insert().value(User::NAME, "c")).await?;
        let renamed = update()
            .set(User::NAME, func::upper(User::NAME))
            .filter(User::NAME.eq("b"));
        assert_eq!(
            connection
                .execute(renamed.returning())
                .await?
                .scalar_one()?
                .name,
            "B"
        );
        let gone = connection
            .execute(delete::<User>().filter(User::NAME.ne("B")).returning())
            .await?;
        assert_eq!(gone.rowcount(), 2);
        error_of::<InvalidRequestError>(connection.execute(update::<User>()).await);
        error_of::<InvalidRequestError>(connection.execute(insert::<User>()).await);
        connection.execute(insert().row(&item("x", 1))).await?;
        connection
            .execute(insert().row(&item("x", 2)).on_conflict_do_nothing())
            .await?;
        let ranks = select::<Item>().columns(Item::RANK);
        assert_eq!(connection.scalar(ranks.clone()).await?, Some(Some(1)));
        connection
            .execute(
                insert()
                    .row(&item("x", 2))
                    .on_conflict_do_update(Item::NAME),
            )
            .await?;
        assert_eq!(connection.scalar(ranks).await?, Some(Some(2)));
        connection.commit().await
    })
}

/// Ports `sql/test_text.BindParamTest` in what it is about: names stand for values, wherever they are.
#[test]
fn text_has_values() -> Result<()> {
    both(async |db| {
        db.fill().await?;
        let mut connection = db.engine.connect().await?;
        let between =
            text("SELECT id FROM users WHERE id >= :a AND id <= :b AND name <> ':a' AND id <> :a");
        let found = connection
            .scalars(between.clone().bind("a", 7).bind("b", 9))
            .await?
            .all();
        assert_eq!(found, [Value::Integer(8), Value::Integer(9)]);
        let error = error_of::<InvalidRequestError>(connection.execute(between.bind("a", 7)).await);
        assert!(error.to_string().contains("\"b\""));
        Ok(())
    })
}

/// A constraint that is violated is an error of the database's.
#[test]
fn constraints_hold() -> Result<()> {
    both(async |db| {
        let mut session = db.session();
        session.add(item("a", 1));
        session.add(item("b", 1));
        let error = session.commit().await.expect_err("the rank is unique");
        assert!(is_integrity_error(&error), "{error:?}");
        session.rollback().await?;
        session.add(Address {
            id: 0,
            user_id: Some(99),
            email_address: "nobody@x".to_owned(),
        });
        let error = session.commit().await.expect_err("there is no such user");
        assert!(is_integrity_error(&error), "{error:?}");
        Ok(())
    })
}

/// Ports `sql/test_metadata` in what applies: tables are made in the order in which they refer to one another,
/// and dropped the other way round; those that are there stay.
#[test]
fn tables_are_made_and_dropped() -> Result<()> {
    both(async |db| {
        let tables = crate::support::tables();
        assert_eq!(
            tables.sorted_tables(),
            ["users", "addresses", "node", "items"]
        );
        db.engine
            .begin_with(async |it| {
                tables.create_all(it).await?;
                tables.drop_all(it).await?;
                tables.drop_all(it).await?;
                tables.create_all(it).await
            })
            .await?;
        let mut connection = db.engine.connect().await?;
        assert_eq!(
            connection
                .scalar(select::<User>().columns(func::count()))
                .await?,
            Some(0)
        );
        Ok(())
    })
}
