//! `text`.

use std::fmt;
use std::marker::PhantomData;

use asyncio_core::Result;

use super::errors::InvalidRequestError;
use super::statement::{Anything, Compiled, Dialect, Gives, Shape, Statement, Values};
use super::value::Value;

/// A statement that is written out (`sqlalchemy.text`). `:name` stands for a value.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{create_async_engine, text};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     let mut connection = engine.connect().await?;
///     let product = text("SELECT 6 * :n").bind("n", 7).columns::<(i64,)>();
///     assert_eq!(connection.execute(product).await?.scalar_one()?, 42);
///     Ok(())
/// })
/// # }
/// ```
///
/// What is in quotes, in comments and in PostgreSQL's dollar quotes is not looked at, and `::` is a cast;
/// `\:` is a colon.
pub fn text(sql: impl Into<String>) -> Text<Anything> {
    Text {
        sql: sql.into(),
        values: Vec::new(),
        shape: PhantomData,
    }
}

/// A statement that is written out; see [`text`].
#[must_use = "it is to be executed"]
pub struct Text<S> {
    sql: String,
    values: Vec<(String, Value)>,
    shape: PhantomData<fn() -> S>,
}

impl<S> Text<S> {
    /// The value that `:name` stands for (`bindparams`).
    pub fn bind(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.values.push((name.into(), value.into()));
        self
    }

    /// Each row becomes a tuple of these types.
    pub fn columns<T>(self) -> Text<Values<T>>
    where
        Values<T>: Shape,
    {
        Text {
            sql: self.sql,
            values: self.values,
            shape: PhantomData,
        }
    }
}

impl<S: Shape> Statement for Text<S> {
    type Shape = S;

    fn compile(&self, dialect: Dialect) -> Result<Compiled> {
        let (sql, names) = places(&self.sql, dialect);
        let value = |name: &str| {
            let known = self.values.iter().rev().find(|(known, _)| known == name);
            known.map(|(_, value)| value.clone()).ok_or_else(|| {
                InvalidRequestError::new(format!("a value is required for the parameter {name:?}"))
            })
        };
        let values = names.iter().map(|name| value(name));
        Ok(Compiled {
            values: values.collect::<Result<_, _>>()?,
            writes: writes(&sql),
            sql: sql.into(),
            gives: Gives::Either,
            touches: None,
        })
    }
}

/// Whether a statement may change something.
fn writes(sql: &str) -> bool {
    let word = sql
        .trim_start()
        .split(|it: char| !it.is_ascii_alphabetic())
        .next();
    let reads = ["select", "values", "pragma", "explain", "show"];
    !word.is_some_and(|word| reads.iter().any(|it| it.eq_ignore_ascii_case(word)))
}

/// The statement with the places of its parameters as the database wants them, and what is to be there.
fn places(sql: &str, dialect: Dialect) -> (String, Vec<String>) {
    let mut out = String::with_capacity(sql.len() + 8);
    let mut names: Vec<String> = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        if let Some(length) = passed_over(rest) {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\:") {
            out.push(':');
            rest = after;
            continue;
        }
        let name = match rest.strip_prefix(':') {
            Some(after) => name_of(after),
            None => "",
        };
        if name.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[1 + name.len()..];
        match dialect {
            Dialect::Sqlite => {
                out.push('?');
                names.push(name.to_owned());
            }
            Dialect::Postgres => {
                let place = names.iter().position(|it| it == name).unwrap_or_else(|| {
                    names.push(name.to_owned());
                    names.len() - 1
                });
                out.push_str(&format!("${}", place + 1));
            }
        }
    }
    (out, names)
}

/// The name at the beginning, if there is one.
fn name_of(text: &str) -> &str {
    let is_part = |it: char| it.is_alphanumeric() || it == '_';
    let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
    let name = &text[..end];
    match name.starts_with(|it: char| it.is_ascii_digit()) {
        true => "",
        false => name,
    }
}

/// How long what stands at the beginning is, if there is nothing to be looked for in it.
fn passed_over(text: &str) -> Option<usize> {
    let until = |opening: usize, closing: &str| {
        let end = text.get(opening..)?.find(closing);
        Some(end.map_or(text.len(), |at| opening + at + closing.len()))
    };
    match text.as_bytes().first()? {
        b'\'' => until(1, "'"),
        b'"' => until(1, "\""),
        b'-' if text.starts_with("--") => until(2, "\n"),
        b'/' if text.starts_with("/*") => until(2, "*/"),
        b':' if text.starts_with("::") => Some(2),
        b'$' => {
            let tag = name_of(&text[1..]);
            let opening = &text[..=tag.len()];
            text[opening.len()..]
                .starts_with('$')
                .then(|| until(opening.len() + 1, &format!("{opening}$")))?
        }
        _ => None,
    }
}

impl<S> Clone for Text<S> {
    fn clone(&self) -> Self {
        Self {
            sql: self.sql.clone(),
            values: self.values.clone(),
            shape: PhantomData,
        }
    }
}

impl<S> fmt::Debug for Text<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Text").field(&self.sql).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_where_they_are() {
        let pg = |sql| places(sql, Dialect::Postgres);
        assert_eq!(
            pg("a = :x AND b = :y OR c = :x").0,
            "a = $1 AND b = $2 OR c = $1"
        );
        assert_eq!(
            pg("':x' \":x\" -- :x\n :x::int").0,
            "':x' \":x\" -- :x\n $1::int"
        );
        assert_eq!(
            pg("$$ :x $$ $a$ :x $a$ /* :x */ \\:x").0,
            "$$ :x $$ $a$ :x $a$ /* :x */ :x"
        );
        assert_eq!(pg("it''s :ä").1, ["ä"]);
        assert_eq!(pg("'open :x").1, Vec::<String>::new());
        assert_eq!(pg("a[1:2]").0, "a[1:2]");
        let (sql, names) = places(":x + :x", Dialect::Sqlite);
        assert_eq!(
            (sql.as_str(), names),
            ("? + ?", vec!["x".to_owned(), "x".to_owned()])
        );
    }

    #[test]
    fn what_reads_is_told_from_what_may_write() {
        assert!(!writes("  select 1") && !writes("VALUES (1)"));
        assert!(writes(
            "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x"
        ));
        assert!(writes("INSERT INTO t VALUES (1)"));
    }
}
