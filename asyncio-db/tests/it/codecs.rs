//! Values of all types, both ways (asyncpg's `test_codecs.py`).

use std::collections::{BTreeMap, HashMap};

use asyncio_core::{Result, ValueError};
use asyncio_db::pg::values::{
    BitString, Composite, Interval, MultiRange, Numeric, Range, Sign, TypeCodec, Value,
};
use asyncio_db::pg::{Connection, EncodeError, InterfaceError};
use asyncio_db::{ExceptionExt as _, exc};

use crate::support::{error_of, everywhere};

const SAMPLES: &str = include_str!("../data/asyncpg-samples.tsv");

/// A sample's text, where it is long and is told how it is made.
fn told(text: &str) -> String {
    let parts: Vec<&str> = text.split(':').collect();
    let times = |text: &str| text.parse().expect("a number");
    match parts[..] {
        ["@repeat", text, count] => text.repeat(times(count)),
        ["@bytes", "repeat", byte, count] => format!("\\x{}", byte.repeat(times(count))),
        ["@array", elements, "repeat", text, count] => {
            let element = text.repeat(times(count));
            format!("{{{}}}", vec![element; times(elements)].join(","))
        }
        _ => text.to_owned(),
    }
}

pub(crate) async fn one(
    connection: &mut Connection,
    query: &str,
    arg: impl Into<Value>,
) -> Result<Value> {
    let row = connection.fetchrow(query, vec![arg.into()]).await?;
    row.expect("there is one").value(0)
}

/// Not a number is not equal to itself, but here it is the same.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Float8(a), Value::Float8(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::Float4(a), Value::Float4(b)) => a == b || (a.is_nan() && b.is_nan()),
        _ => one == other,
    }
}

/// `test_standard_codecs`: every sample, read and written in the binary form and as text.
#[test]
fn every_sample_goes_both_ways_in_both_forms() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connect().server_setting("TimeZone", "UTC").await?;
        let (mut types, mut samples) = (std::collections::BTreeSet::new(), 0);
        for line in SAMPLES.lines().skip(1) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, kind, input, output] = fields[..] else {
                panic!("{line:?}")
            };
            let note =
                |error: &asyncio_core::Exception| error.add_note(format!("{name} {input:.60}"));
            let (plain, through) = (
                format!("SELECT $1::{name}"),
                format!("SELECT $1::text::{name}"),
            );
            let told_by = |arg: &str| format!("SELECT format('%s', {arg}::{name})");
            // The server reads the text, and we its binary form.
            let input = told(input);
            let value = one(&mut connection, &through, &*input)
                .await
                .inspect_err(note)?;
            let text = one(&mut connection, &told_by("$1::text"), &*input)
                .await
                .inspect_err(note)?;
            let text = text.as_str().expect("it is a text").to_owned();
            let statement = connection.prepare(&plain).await?;
            let type_ = statement.get_attributes()[0].type_().clone();
            let expected = match kind.strip_suffix("[]") {
                Some(of) => format!("_{of}"),
                None => kind.to_owned(),
            };
            assert_eq!(type_.name(), expected);
            // We read its text, and write one that is the same.
            let parsed = Value::parse(&type_, &text).expect("it is one");
            assert!(
                same(&parsed, &value),
                "{name}: {text:.60} is {parsed:?}, not {value:?}"
            );
            if !name.starts_with("float") {
                assert!(
                    value.to_string() == text,
                    "{name}: {value:.60} is not {text:.60}"
                );
            }
            if !output.is_empty() {
                let told = Value::parse(&type_, &told(output)).expect("it is one");
                assert!(
                    same(&told, &value),
                    "{name}: {output:.60} is {told:?}, not {value:?}"
                );
            }
            // The server reads our binary form, and our text.
            let told = one(&mut connection, &told_by("$1"), value.clone())
                .await
                .inspect_err(note)?;
            assert!(
                told.as_str() == Some(&text),
                "{name}: {told:.60} is not {text:.60}"
            );
            for again in [value.clone(), Value::Text(value.to_string())] {
                let back = one(&mut connection, &plain, again)
                    .await
                    .inspect_err(note)?;
                assert!(same(&back, &value), "{name}: {back:?} is not {value:?}");
            }
            // And what is null is null.
            assert!(one(&mut connection, &plain, Value::Null).await?.is_null());
            types.insert(name);
            samples += 1;
        }
        assert_eq!((types.len(), samples), (44, 282));
        Ok(())
    })
}

/// `test_all_builtin_types_handled`: of every type that the server has, arrays among them, what is null and
/// what is not is read.
#[test]
fn every_type_of_the_server_is_read() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let query = "SELECT format_type(oid, NULL) AS name FROM pg_type
                     WHERE oid < 10000 AND typtype IN ('b', 'r', 'm') AND typname <> 'unknown'
                     ORDER BY oid";
        let mut names = Vec::new();
        for row in connection.fetch(query, ()).await? {
            names.push(row.get::<String>(0)?);
        }
        assert!(names.len() > 150, "{}", names.len());
        for name in names {
            let row = connection
                .fetchrow(&format!("SELECT NULL::{name}"), ())
                .await?;
            assert!(row.expect("there is one").value(0)?.is_null(), "{name}");
        }
        Ok(())
    })
}

/// `test_void`.
#[test]
fn nothing_is_read_of_void() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let row = connection
            .fetchrow("SELECT pg_sleep(0)", ())
            .await?
            .expect("there is one");
        assert_eq!(row.value(0)?, Value::from(""));
        Ok(())
    })
}

/// `test_bitstring`.
#[test]
fn bits_are_what_they_were_written_as() {
    for len in 0..200_usize {
        let text: String = (0..len)
            .map(|n| if n % 3 == 1 || n % 7 == 0 { '1' } else { '0' })
            .collect();
        let spaced: String = text.chars().flat_map(|it| [it, ' ']).collect();
        let bits: BitString = spaced.parse().expect("it is one");
        assert_eq!(bits.to_string(), text);
        assert_eq!((bits.len(), bits.bytes().len()), (len, len.div_ceil(8)));
        assert_eq!(
            BitString::from_bytes(bits.bytes(), len).as_ref(),
            Some(&bits)
        );
        assert_eq!(bits.iter().collect::<BitString>(), bits);
    }
    assert!("012".parse::<BitString>().is_err());
    assert_eq!(BitString::from_bytes(&[1], 9), None);
}

/// `test_interval`: its months stay months, where asyncpg makes days of them.
#[test]
fn intervals_keep_their_months() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for (text, months) in [
            ("5 years", 60),
            ("5 years 1 month", 61),
            ("-5 years", -60),
            ("-5 years -1 month", -61),
        ] {
            let query = format!("SELECT '{text}'::interval");
            let interval: Option<Interval> = connection.fetchval(&query, ()).await?;
            assert_eq!(
                interval,
                Some(Interval {
                    months,
                    ..Interval::default()
                })
            );
        }
        Ok(())
    })
}

/// `test_numeric`.
#[test]
fn numbers_keep_their_zeros() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        for text in [
            "0.001",
            "0.001000",
            "1",
            "1.00000",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            let number: Numeric = text.parse()?;
            let back: Option<Numeric> =
                connection.fetchval("SELECT $1::numeric", (number,)).await?;
            assert_eq!(back.expect("it is not null").to_string(), text);
        }
        connection
            .execute(
                "CREATE TEMP TABLE tab (v numeric(3, 2)); INSERT INTO tab VALUES (0), (1)",
                (),
            )
            .await?;
        for (number, text) in [(0, "0.00"), (1, "1.00")] {
            let query = "SELECT v FROM tab WHERE v = $1";
            let back: Option<Numeric> =
                connection.fetchval(query, (Numeric::from(number),)).await?;
            assert_eq!(back.expect("it is there").to_string(), text);
        }
        let nan: Numeric = "NaN".parse()?;
        assert_eq!(nan.sign(), Sign::NaN);
        let invalid = one(&mut connection, "SELECT $1::numeric", "invalid").await;
        assert!(
            invalid
                .expect_err("it is none")
                .is_pg::<exc::InvalidTextRepresentationError>()
        );
        Ok(())
    })
}

/// `test_unhandled_type_fallback`: what nobody knows is written as text, and read as text by a codec.
#[test]
fn a_type_of_an_extension_is_text_where_one_says_so() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute("CREATE EXTENSION IF NOT EXISTS isn", ())
            .await?;
        let as_text = TypeCodec::text(|value| Ok(value.to_string()), |text| Ok(Value::from(text)));
        connection.set_type_codec("issn", "public", as_text).await?;
        let row = connection.fetchrow(
            "SELECT $1::issn AS issn, 42 AS int",
            vec![Value::from("1436-4522")],
        );
        let row = row.await?.expect("there is one");
        assert_eq!(row.value("issn")?, Value::from("1436-4522"));
        assert_eq!(row.get::<i32>("int")?, 42);
        connection.execute("DROP EXTENSION isn", ()).await?;
        Ok(())
    })
}

/// `test_invalid_input`: what does not fit is refused before anything is sent.
#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let cases: Vec<(&str, Vec<Value>)> = vec![
            ("bytea", vec![1.into()]),
            ("bool", vec![1.into()]),
            (
                "int2",
                vec![
                    0xffff.into(),
                    32768.into(),
                    (-32769).into(),
                    i64::MAX.into(),
                    true.into(),
                ],
            ),
            ("float4", vec![4.1e40.into(), (-4.1e40).into()]),
            (
                "int4",
                vec![
                    i64::from(u32::MAX).into(),
                    (1_i64 << 31).into(),
                    Value::Bytes(vec![1]),
                ],
            ),
            ("int8", vec![Value::Xid8(u64::MAX), 1.5.into()]),
            (
                "text",
                vec![Value::Bytes(b"foo".to_vec()), vec![1].into(), 1.into()],
            ),
            (
                "tid",
                vec![Value::Bytes(b"foo".to_vec()), vec![1, 2].into()],
            ),
            ("oid", vec![(1_i64 << 32).into(), (-1).into()]),
            ("timestamp", vec![1.into()]),
            ("timestamptz", vec![1.into()]),
        ];
        for (type_, values) in cases {
            for value in values {
                let query = format!("SELECT $1::{type_}");
                let told = one(&mut connection, &query, value).await;
                let error = error_of::<EncodeError>(told);
                assert!(error.to_string().contains("argument $1"), "{error}");
            }
        }
        assert_eq!(connection.fetchval("SELECT 1", ()).await?, Some(1));
        Ok(())
    })
}

/// `test_arrays`.
#[test]
fn arrays_of_any_depth() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        let nest = |value: Value, depth| (0..depth).fold(value, |it, _| Value::Array(vec![it]));
        let rows =
            |rows: &[&[i32]]| Value::Array(rows.iter().map(|row| row.to_vec().into()).collect());
        for (query, expected) in [
            (
                "SELECT '[1:3][-1:0]={{1,2},{4,5},{6,7}}'::int[]",
                rows(&[&[1, 2], &[4, 5], &[6, 7]]),
            ),
            ("SELECT '{{{{{{1}}}}}}'::int[]", nest(1.into(), 6)),
            (
                "SELECT '{1, 2, NULL}'::int[]::anyarray",
                vec![1.into(), 2.into(), Value::Null].into(),
            ),
            ("SELECT '{}'::int[]", Value::Array(Vec::new())),
        ] {
            let row = connection.fetchrow(query, ()).await?.expect("there is one");
            assert_eq!(row.value(0)?, expected, "{query}");
        }
        let deep = connection
            .fetchrow("SELECT '{{{{{{{1}}}}}}}'::int[]", ())
            .await;
        assert!(
            deep.expect_err("too deep")
                .is_pg::<exc::ProgramLimitExceededError>()
        );

        for value in [
            Value::Array(vec![Value::Null]),
            vec![1, 2, 3, 4, 5, 6].into(),
            rows(&[&[1, 2], &[4, 5], &[6, 7]]),
            Value::Array(vec![rows(&[&[1], &[2]]), rows(&[&[4], &[5]])]),
            nest(1.into(), 6),
            nest(Value::Null, 6),
        ] {
            assert_eq!(
                one(&mut connection, "SELECT $1::int[]", value.clone()).await?,
                value
            );
        }
        for value in [
            nest(1.into(), 7),
            Value::Array(vec![1.into(), nest(1.into(), 1)]),
            Value::Array(vec![nest(1.into(), 1), 1.into(), nest(2.into(), 1)]),
            Value::Array(vec![1.into(), true.into(), 2.into()]),
            Value::Array(vec![nest(1.into(), 1), nest(true.into(), 1)]),
            1.into(),
        ] {
            error_of::<EncodeError>(one(&mut connection, "SELECT $1::int[]", value).await);
        }
        // Vectors are arrays of one dimension.
        let back: Option<Vec<Option<i32>>> = connection
            .fetchval("SELECT $1::int[]", (vec![Some(1), None],))
            .await?;
        assert_eq!(back, Some(vec![Some(1), None]));
        Ok(())
    })
}

/// `test_composites`, `test_composites_in_arrays`, `test_table_as_composite`, `test_relacl_array_type`.
#[test]
fn composites() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TYPE IF EXISTS test_composite CASCADE; DROP TABLE IF EXISTS composite_table;
                 CREATE TYPE test_composite AS (a int, b text, c int[]);
                 CREATE TABLE composite_table (a int, b text); INSERT INTO composite_table VALUES (10, '11')",
                (),
            )
            .await?;
        let row = connection
            .fetchrow("SELECT ROW(NULL, 1234, '5678', ROW(42, '42'))", ())
            .await?;
        let Value::Composite(it) = row.expect("there is one").value(0)? else {
            panic!("it is one")
        };
        assert_eq!(
            (it.get(0), it.get(1)),
            (Some(&Value::Null), Some(&Value::from(1234)))
        );
        assert_eq!(it.get(2), Some(&Value::from("5678")));
        let Some(Value::Composite(inner)) = it.get(3) else {
            panic!("it is one")
        };
        assert_eq!(inner.get(1), Some(&Value::from("42")));

        let anonymous = Composite::new([("", 1)]);
        let refused = one(&mut connection, "SELECT (1, 'foo') = $1", anonymous).await;
        error_of::<EncodeError>(refused);

        let query = "SELECT ROW(NULL, '5678', ARRAY[9, NULL, 11]::int[])::test_composite AS test";
        let statement = connection.prepare(query).await?;
        assert_eq!(
            statement.get_attributes()[0].type_().name(),
            "test_composite"
        );
        let row = connection
            .fetchrow(&statement, ())
            .await?
            .expect("there is one");
        let value = row.value("test")?;
        let Value::Composite(it) = value.clone() else {
            panic!("it is one")
        };
        assert!(it.field("a").is_some_and(Value::is_null));
        assert_eq!(it.field("b"), Some(&Value::from("5678")));
        assert_eq!(it.get(2), it.field("c"));
        assert_eq!(
            it.items().map(|(name, _)| name).collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!(
            one(&mut connection, "SELECT $1::test_composite", value).await?,
            Value::from(it)
        );

        // By name, in any order, and what is missing is null.
        let by_name = Composite::new([("b", Value::from("foo")), ("a", 1.into())]);
        let back = one(&mut connection, "SELECT $1::test_composite", by_name).await?;
        assert_eq!(back.to_string(), "(1,foo,)");
        let wrong = Composite::new([("x", 1)]);
        error_of::<EncodeError>(one(&mut connection, "SELECT $1::test_composite", wrong).await);

        let row = connection
            .fetchrow("SELECT composite_table AS t FROM composite_table", ())
            .await?;
        assert_eq!(
            row.expect("there is one").value("t")?.to_string(),
            "(10,11)"
        );
        let array = "SELECT array_agg(t) FROM composite_table AS t";
        let row = connection.fetchrow(array, ()).await?.expect("there is one");
        assert_eq!(row.value(0)?.to_string(), "{\"(10,11)\"}");
        let acl = "SELECT ARRAY['postgres=r/postgres']::aclitem[]";
        let row = connection.fetchrow(acl, ()).await?.expect("there is one");
        assert!(row.get::<String>(0)?.contains("postgres=r/postgres"));
        connection
            .execute(
                "DROP TYPE test_composite CASCADE; DROP TABLE composite_table",
                (),
            )
            .await?;
        Ok(())
    })
}

/// `test_domains`, `test_enum`, `test_enum_and_range`, `test_enum_function_return`, `test_enum_in_array`,
/// `test_enum_in_composite`, `test_range_types`, `test_multirange_types`, `test_no_result`.
#[test]
fn domains_enumerations_and_ranges() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "DROP TYPE IF EXISTS with_enum, test_enum CASCADE; DROP DOMAIN IF EXISTS my_dom CASCADE;
                 CREATE TYPE test_enum AS ENUM ('abc', 'def', 'ghi');
                 CREATE DOMAIN my_dom AS int CHECK (VALUE < 100);
                 CREATE TYPE enum_range AS RANGE (subtype = test_enum);
                 CREATE TYPE with_enum AS (x test_enum, y int, z my_dom);
                 CREATE FUNCTION the_enum() RETURNS test_enum LANGUAGE sql AS $$ SELECT 'def'::test_enum $$",
                (),
            )
            .await?;
        assert_eq!(
            one(&mut connection, "SELECT $1::my_dom", 3).await?,
            Value::from(3)
        );
        let large = one(&mut connection, "SELECT $1::my_dom", 300).await;
        assert!(
            large
                .expect_err("it is too large")
                .is_pg::<exc::CheckViolationError>()
        );
        assert_eq!(
            one(&mut connection, "SELECT $1::test_enum", "abc").await?,
            Value::from("abc")
        );
        let none = one(&mut connection, "SELECT $1::test_enum", "xyz").await;
        assert!(
            none.expect_err("there is none")
                .is_pg::<exc::InvalidTextRepresentationError>()
        );
        let told = connection
            .fetchrow("SELECT the_enum() AS it", ())
            .await?
            .expect("there is one");
        assert_eq!(told.value("it")?, Value::from("def"));
        let array: Value = vec!["abc", "ghi"].into();
        assert_eq!(
            one(&mut connection, "SELECT $1::test_enum[]", array.clone()).await?,
            array
        );
        let range: Value = Range::between("abc", "def").into();
        assert_eq!(
            one(&mut connection, "SELECT $1::enum_range", range.clone()).await?,
            range
        );
        let composite =
            Composite::new([("x", Value::from("ghi")), ("y", 7.into()), ("z", 8.into())]);
        let back = one(&mut connection, "SELECT $1::with_enum", composite.clone()).await?;
        assert_eq!(back, Value::from(composite));

        for (text, range) in [
            ("[1,10)", Range::between(1, 10)),
            ("empty", Range::empty()),
            ("(,)", Range::default()),
            ("[5,)", Range::new(Some(5), None, true, false)),
            ("(,5)", Range::new(None, Some(5), false, false)),
        ] {
            let query = format!("SELECT '{text}'::int4range");
            let read: Option<Range<i32>> = connection.fetchval(&query, ()).await?;
            assert_eq!(read.as_ref(), Some(&range));
            let query = "SELECT ($1::int4range)::text";
            let told: Option<String> = connection.fetchval(query, (range.clone(),)).await?;
            assert_eq!(told.as_deref(), Some(text));
            let value: Value = range.into();
            assert_eq!(
                one(&mut connection, "SELECT $1::int4range", value.clone()).await?,
                value
            );
            assert_eq!(value.to_string(), text);
        }
        let all = MultiRange(vec![Range::between(1, 5), Range::between(9, 11)]);
        let back: Option<MultiRange<i32>> = connection
            .fetchval("SELECT $1::int4multirange", (all.clone(),))
            .await?;
        assert_eq!(back, Some(all));
        let value = Value::MultiRange(Vec::new());
        assert_eq!(
            one(&mut connection, "SELECT $1::int4multirange", value.clone()).await?,
            value
        );
        assert_eq!(
            connection.execute("SELECT FROM (VALUES (1)) x", ()).await?,
            "SELECT 1"
        );
        connection
            .execute(
                "DROP TYPE test_enum CASCADE; DROP DOMAIN my_dom CASCADE",
                (),
            )
            .await?;
        Ok(())
    })
}

/// `test_extra_codec_alias`, `test_builtin_codec_alias`, `test_unknown_type_text_fallback`: hstore is known, and others by what they are like.
#[test]
fn hstore_and_types_that_are_like_others() -> Result<()> {
    everywhere(|server| async move {
        let mut connection = server.connection().await?;
        connection
            .execute(
                "CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS citext",
                (),
            )
            .await?;
        let query = "SELECT $1::hstore";
        let map: HashMap<String, Option<String>> = HashMap::from([
            ("a".to_owned(), Some("1".to_owned())),
            ("b".to_owned(), None),
        ]);
        let back: Option<HashMap<String, Option<String>>> =
            connection.fetchval(query, (map.clone(),)).await?;
        assert_eq!(back.as_ref(), Some(&map));
        let value = Value::Hstore(map.into_iter().collect::<BTreeMap<_, _>>());
        assert_eq!(one(&mut connection, query, value.clone()).await?, value);
        connection
            .set_builtin_type_codec("hstore", "public", "pg_contrib.hstore")
            .await?;
        assert_eq!(one(&mut connection, query, value.clone()).await?, value);
        error_of::<InterfaceError>(
            connection
                .set_builtin_type_codec("hstore", "public", "no")
                .await,
        );
        error_of::<InterfaceError>(
            connection
                .set_builtin_type_codec("_hstore", "public", "int4")
                .await,
        );
        error_of::<ValueError>(
            connection
                .set_builtin_type_codec("nothing", "public", "int4")
                .await,
        );

        connection
            .set_builtin_type_codec("citext", "public", "text")
            .await?;
        assert_eq!(
            one(&mut connection, "SELECT $1::citext", "AbC").await?,
            Value::from("AbC")
        );
        connection.reset_type_codec("citext", "public").await?;
        connection
            .execute("DROP EXTENSION hstore; DROP EXTENSION citext", ())
            .await?;
        Ok(())
    })
}

/// `test_range_issubset`.
#[test]
fn a_range_is_within_another_or_not() {
    let range = |lower, upper, lower_inc, upper_inc| Range::new(lower, upper, lower_inc, upper_inc);
    let all = [
        Range::empty(),
        range(Some(1), Some(5), true, false),
        range(Some(1), Some(5), true, true),
        range(Some(1), Some(5), false, true),
        range(Some(1), Some(5), false, false),
        range(Some(-5), Some(10), true, false),
        range(Some(2), Some(3), true, false),
        range(Some(1), None, true, false),
        range(None, None, false, false),
    ];
    let others = [&all[0], &all[1], &all[2], &all[3], &all[4], &all[8]];
    for (index, own) in all.iter().enumerate() {
        let told: Vec<bool> = others.iter().map(|other| own.is_subset(other)).collect();
        // What every range says: it is within itself and within all, and only nothing is within nothing.
        assert!(own.is_subset(own) && own.is_subset(&all[8]));
        assert_eq!(told[0], own.is_empty());
        let row = match index {
            0 => [true; 6],
            1 => [false, true, true, false, false, true],
            2 => [false, false, true, false, false, true],
            3 => [false, false, true, true, false, true],
            4 | 6 => [false, true, true, true, true, true],
            _ => [false, false, false, false, false, true],
        };
        assert_eq!(told, row, "{index}");
    }
}
