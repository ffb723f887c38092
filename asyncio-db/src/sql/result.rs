//! Results.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use asyncio_core::Result;

use super::errors::{MultipleResultsFound, NoResultFound};
use super::row::{Row, RowMapping};
use super::statement::{Keys, Scalar};

/// What has come of a statement: its rows, all of them read (`sqlalchemy.Result`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{create_async_engine, text};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     let mut connection = engine.connect().await?;
///     let pairs = text("VALUES (1, 'one'), (2, 'two')").columns::<(i64, String)>();
///     assert_eq!(connection.execute(pairs.clone()).await?.all()[1], (2, "two".to_owned()));
///     assert_eq!(connection.execute(pairs.clone()).await?.scalars().all(), [1, 2]);
///     assert!(connection.execute(pairs).await?.one().is_err());
///     Ok(())
/// })
/// # }
/// ```
pub struct ResultSet<R> {
    rows: std::vec::IntoIter<R>,
    raw: Vec<Row>,
    keys: Keys,
    rowcount: u64,
}

/// The first value of each row (`sqlalchemy.ScalarResult`); for a table the whole.
#[must_use = "what has come of it is in it"]
pub struct Scalars<T> {
    values: std::vec::IntoIter<T>,
}

impl<R> ResultSet<R> {
    pub(super) fn new(rows: Vec<R>, raw: Vec<Row>, rowcount: u64) -> Self {
        let keys = raw
            .first()
            .map(|row| -> Keys { row.keys().map(str::to_owned).collect() });
        Self {
            rows: rows.into_iter(),
            raw,
            keys: keys.unwrap_or_else(|| Arc::new([])),
            rowcount,
        }
    }

    /// The rows that are left.
    #[must_use]
    pub fn all(self) -> Vec<R> {
        self.rows.collect()
    }

    /// The next row; `None` after the last.
    #[must_use]
    pub fn fetchone(&mut self) -> Option<R> {
        self.rows.next()
    }

    /// The next so many rows, fewer at the end.
    #[must_use]
    pub fn fetchmany(&mut self, count: usize) -> Vec<R> {
        self.rows.by_ref().take(count).collect()
    }

    /// The first row, if there is one.
    #[must_use]
    pub fn first(mut self) -> Option<R> {
        self.rows.next()
    }

    /// The only row.
    ///
    /// # Errors
    ///
    /// [`NoResultFound`] when there is none, [`MultipleResultsFound`] when there are more.
    pub fn one(self) -> Result<R> {
        only(self.rows)?.ok_or_else(|| NoResultFound.into())
    }

    /// The only row, if there is one.
    ///
    /// # Errors
    ///
    /// [`MultipleResultsFound`] when there are more.
    pub fn one_or_none(self) -> Result<Option<R>> {
        only(self.rows)
    }

    /// The rows, so many at a time, fewer at the end.
    ///
    /// Of zero at a time there are none.
    pub fn partitions(mut self, size: usize) -> impl Iterator<Item = Vec<R>> {
        std::iter::from_fn(move || {
            let part = self.fetchmany(size);
            (!part.is_empty()).then_some(part)
        })
    }

    /// Each row once, the first of those that are the same.
    pub fn unique(self) -> Self
    where
        R: Clone + Eq + Hash,
    {
        let mut seen = HashSet::new();
        let rows: Vec<R> = self.rows.filter(|row| seen.insert(row.clone())).collect();
        Self {
            rows: rows.into_iter(),
            ..self
        }
    }

    /// All rows by the names of the columns, whatever has been read of them.
    #[must_use]
    pub fn mappings(self) -> Vec<RowMapping> {
        self.raw.into_iter().map(RowMapping).collect()
    }

    /// The names of the columns, where there are rows.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// How many rows the statement was about: those that it has returned, or changed.
    #[must_use]
    pub const fn rowcount(&self) -> u64 {
        self.rowcount
    }
}

impl<R: Scalar> ResultSet<R> {
    /// The first value of each row.
    pub fn scalars(self) -> Scalars<R::Scalar> {
        let values: Vec<_> = self.rows.map(Scalar::into_scalar).collect();
        Scalars {
            values: values.into_iter(),
        }
    }

    /// The first value of the first row, if there is one.
    #[must_use]
    pub fn scalar(self) -> Option<R::Scalar> {
        self.first().map(Scalar::into_scalar)
    }

    /// The first value of the only row.
    ///
    /// # Errors
    ///
    /// As of [`one`](Self::one).
    pub fn scalar_one(self) -> Result<R::Scalar> {
        self.one().map(Scalar::into_scalar)
    }

    /// The first value of the only row, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`one_or_none`](Self::one_or_none).
    pub fn scalar_one_or_none(self) -> Result<Option<R::Scalar>> {
        Ok(self.one_or_none()?.map(Scalar::into_scalar))
    }
}

impl<T> Scalars<T> {
    /// The values that are left.
    #[must_use]
    pub fn all(self) -> Vec<T> {
        self.values.collect()
    }

    /// The first, if there is one.
    #[must_use]
    pub fn first(mut self) -> Option<T> {
        self.values.next()
    }

    /// The only one.
    ///
    /// # Errors
    ///
    /// As of [`ResultSet::one`].
    pub fn one(self) -> Result<T> {
        only(self.values)?.ok_or_else(|| NoResultFound.into())
    }

    /// The only one, if there is one.
    ///
    /// # Errors
    ///
    /// As of [`ResultSet::one_or_none`].
    pub fn one_or_none(self) -> Result<Option<T>> {
        only(self.values)
    }

    /// So many at a time, fewer at the end.
    pub fn partitions(mut self, size: usize) -> impl Iterator<Item = Vec<T>> {
        std::iter::from_fn(move || {
            let part: Vec<T> = self.values.by_ref().take(size).collect();
            (!part.is_empty()).then_some(part)
        })
    }

    /// Each once, the first of those that are the same.
    pub fn unique(self) -> Self
    where
        T: Clone + Eq + Hash,
    {
        let mut seen = HashSet::new();
        let values: Vec<T> = self
            .values
            .filter(|value| seen.insert(value.clone()))
            .collect();
        Self {
            values: values.into_iter(),
        }
    }
}

fn only<T>(mut all: impl Iterator<Item = T>) -> Result<Option<T>> {
    let first = all.next();
    match all.next() {
        None => Ok(first),
        Some(_) => Err(MultipleResultsFound.into()),
    }
}

impl<R> Iterator for ResultSet<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.rows.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl<T> Iterator for Scalars<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.values.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.values.size_hint()
    }
}

impl<R> fmt::Debug for ResultSet<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultSet")
            .field("rows", &self.rows.len())
            .field("rowcount", &self.rowcount)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Scalars<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scalars")
            .field("values", &self.values.len())
            .finish()
    }
}
