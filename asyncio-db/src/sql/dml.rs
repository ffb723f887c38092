//! `insert`, `update` and `delete`.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;

use asyncio_core::Result;
use sea_query as sq;

use super::errors::InvalidRequestError;
use super::expression::{Expression, Operand};
use super::statement::{Anything, Compiled, Dialect, Entity, Gives, Shape, Statement, build};
use super::table::{Column, Table};

/// New rows of a table (`sqlalchemy.insert(User)`).
///
/// ```
/// use asyncio_db::sql::{Table, insert};
///
/// #[derive(Clone, Table)]
/// struct Cheese {
///     #[table(primary_key, generated)]
///     id: i64,
///     name: String,
/// }
///
/// let brie = Cheese { id: 0, name: "brie".to_owned() };
/// assert_eq!(insert().row(&brie).to_string(), r#"INSERT INTO "cheese" ("name") VALUES ('brie')"#);
/// ```
pub fn insert<M: Table>() -> Insert<M> {
    Insert {
        rows: Vec::new(),
        conflict: None,
        of: PhantomData,
    }
}

/// Changes of rows of a table (`sqlalchemy.update(User)`).
///
/// ```
/// use asyncio_db::sql::{Table, update};
///
/// #[derive(Clone, Table)]
/// struct Cheese {
///     #[table(primary_key)]
///     name: String,
///     weeks: i32,
/// }
///
/// let older = update().set(Cheese::WEEKS, Cheese::WEEKS + 1).filter(Cheese::NAME.ne("quark"));
/// assert_eq!(
///     older.to_string(),
///     r#"UPDATE "cheese" SET "weeks" = "cheese"."weeks" + 1 WHERE "cheese"."name" <> 'quark'"#
/// );
/// ```
pub fn update<M: Table>() -> Update<M> {
    let mut query = sq::UpdateStatement::new();
    query.table(M::NAME);
    Update {
        query,
        sets: false,
        of: PhantomData,
    }
}

/// The end of rows of a table (`sqlalchemy.delete(User)`).
pub fn delete<M: Table>() -> Delete<M> {
    let mut query = sq::DeleteStatement::new();
    query.from_table(M::NAME);
    Delete {
        query,
        of: PhantomData,
    }
}

/// An `INSERT`; see [`insert`].
#[must_use = "it is to be executed"]
pub struct Insert<M> {
    rows: Vec<Vec<(usize, sq::Expr)>>,
    conflict: Option<sq::OnConflict>,
    of: PhantomData<fn() -> M>,
}

/// An `UPDATE`; see [`update`].
#[must_use = "it is to be executed"]
pub struct Update<M> {
    query: sq::UpdateStatement,
    sets: bool,
    of: PhantomData<fn() -> M>,
}

/// A `DELETE`; see [`delete`].
#[must_use = "it is to be executed"]
pub struct Delete<M> {
    query: sq::DeleteStatement,
    of: PhantomData<fn() -> M>,
}

/// A statement with `RETURNING`: the rows that it has changed are its result.
#[derive(Clone, Debug)]
#[must_use = "it is to be executed"]
pub struct Returning<Q, S> {
    statement: Q,
    shape: PhantomData<fn() -> S>,
}

impl<M: Table> Insert<M> {
    /// Adds a row. A generated key that is 0 is left to the database.
    pub fn row(mut self, row: &M) -> Self {
        let columns = M::COLUMNS.iter().enumerate();
        let values = columns.filter_map(|(number, column)| {
            let value = row.value(number);
            let left_out = column.generated && super::table::is_unset(&value);
            (!left_out).then(|| (number, sq::Expr::val(value.into_query())))
        });
        self.rows.push(values.collect());
        self
    }

    /// Adds rows.
    pub fn rows<'a>(self, rows: impl IntoIterator<Item = &'a M>) -> Self {
        rows.into_iter().fold(self, Self::row)
    }

    /// Sets a column of the only row (`values(name="x")`); the columns that are not set have their
    /// defaults.
    pub fn value<T>(mut self, column: Column<M, T>, value: impl Operand<T>) -> Self {
        let place = M::COLUMNS.iter().position(|it| it.name == column.name());
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        if let (Some(place), Some(row)) = (place, self.rows.last_mut()) {
            row.push((place, value.into_expr()));
        }
        self
    }

    /// Where there is such a row, nothing is done.
    pub fn on_conflict_do_nothing(mut self) -> Self {
        let mut conflict = sq::OnConflict::new();
        conflict.do_nothing();
        self.conflict = Some(conflict);
        self
    }

    /// Where there is a row with the same value of this column, the other columns of that are set.
    pub fn on_conflict_do_update<T>(mut self, column: Column<M, T>) -> Self {
        let mut conflict = sq::OnConflict::column(column.name());
        let others = M::COLUMNS.iter().map(|it| it.name);
        conflict.update_columns(others.filter(|name| *name != column.name()));
        self.conflict = Some(conflict);
        self
    }

    /// With the rows as its result, as they are now.
    pub const fn returning(self) -> Returning<Self, Entity<M>> {
        Returning {
            statement: self,
            shape: PhantomData,
        }
    }

    fn query(&self) -> Result<sq::InsertStatement, InvalidRequestError> {
        let Some(first) = self.rows.first() else {
            return Err(InvalidRequestError::new("an insert without rows"));
        };
        let mut query = sq::InsertStatement::new();
        query.into_table(M::NAME);
        let columns: Vec<usize> = first.iter().map(|(column, _)| *column).collect();
        query.columns(columns.iter().map(|column| M::COLUMNS[*column].name));
        for row in &self.rows {
            if !row.iter().map(|(column, _)| column).eq(columns.iter()) {
                let message = "the rows of an insert have all a generated key, or none";
                return Err(InvalidRequestError::new(message));
            }
            let values = row.iter().map(|(_, value)| value.clone());
            query
                .values(values)
                .map_err(|error| InvalidRequestError::new(error.to_string()))?;
        }
        if columns.is_empty() {
            query.or_default_values();
        }
        if let Some(conflict) = &self.conflict {
            query.on_conflict(conflict.clone());
        }
        Ok(query)
    }
}

impl<M: Table> Update<M> {
    /// Sets a column (`values(name="x")`).
    pub fn set<T>(mut self, column: Column<M, T>, value: impl Operand<T>) -> Self {
        self.query.value(column.name(), value.into_expr());
        self.sets = true;
        self
    }

    /// Only rows of which this is so; several count together.
    pub fn filter(mut self, condition: impl Into<Expression<bool>>) -> Self {
        self.query.and_where(condition.into().expr);
        self
    }

    /// With the rows as its result, as they are now.
    pub const fn returning(self) -> Returning<Self, Entity<M>> {
        Returning {
            statement: self,
            shape: PhantomData,
        }
    }

    /// As sea-query has it.
    #[must_use]
    pub fn into_query(self) -> sq::UpdateStatement {
        self.query
    }
}

impl<M: Table> Delete<M> {
    /// Only rows of which this is so; several count together.
    pub fn filter(mut self, condition: impl Into<Expression<bool>>) -> Self {
        self.query.and_where(condition.into().expr);
        self
    }

    /// With the rows as its result, as they were.
    pub const fn returning(self) -> Returning<Self, Entity<M>> {
        Returning {
            statement: self,
            shape: PhantomData,
        }
    }

    /// As sea-query has it.
    #[must_use]
    pub fn into_query(self) -> sq::DeleteStatement {
        self.query
    }
}

fn all_columns<M: Table>() -> sq::ReturningClause {
    sq::Query::returning().columns(M::COLUMNS.iter().map(|column| column.name))
}

impl<M: Table> Statement for Insert<M> {
    type Shape = Anything;

    fn compile(&self, dialect: Dialect) -> Result<Compiled> {
        let built = build!(self.query()?, dialect);
        // What is new the session does not have.
        Ok(Compiled::new(built, true, Gives::Count, None))
    }
}

impl<M: Table> Statement for Update<M> {
    type Shape = Anything;

    fn compile(&self, dialect: Dialect) -> Result<Compiled> {
        if !self.sets {
            return Err(InvalidRequestError::new("an update that sets nothing").into());
        }
        let built = build!(self.query, dialect);
        Ok(Compiled::new(
            built,
            true,
            Gives::Count,
            Some(TypeId::of::<M>()),
        ))
    }
}

impl<M: Table> Statement for Delete<M> {
    type Shape = Anything;

    fn compile(&self, dialect: Dialect) -> Result<Compiled> {
        let built = build!(self.query, dialect);
        Ok(Compiled::new(
            built,
            true,
            Gives::Count,
            Some(TypeId::of::<M>()),
        ))
    }
}

macro_rules! returning {
    ($($statement:ident $query:expr;)*) => {$(
        impl<M: Table, S: Shape> Statement for Returning<$statement<M>, S> {
            type Shape = S;

            fn compile(&self, dialect: Dialect) -> Result<Compiled> {
                // That it is whole is looked at there.
                let mut compiled = self.statement.compile(dialect)?;
                let query: fn(&$statement<M>) -> Result<_> = $query;
                let mut query = query(&self.statement)?;
                query.returning(all_columns::<M>());
                let (sql, _) = build!(query, dialect);
                compiled.sql = sql.into();
                compiled.gives = Gives::Rows;
                Ok(compiled)
            }
        }
    )*};
}

returning! {
    Insert |it| Ok(it.query()?);
    Update |it| Ok(it.query.clone());
    Delete |it| Ok(it.query.clone());
}

macro_rules! shown {
    ($($statement:ident $query:expr;)*) => {$(
        impl<M: Table> fmt::Display for $statement<M> {
            /// In PostgreSQL's SQL, with its values.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let show: fn(&Self) -> String = $query;
                f.write_str(&show(self))
            }
        }

        impl<M: Table> fmt::Debug for $statement<M> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($statement), "({})"), self)
            }
        }
    )*};
}

shown! {
    Insert |it| match it.query() {
        Ok(query) => query.to_string(sq::PostgresQueryBuilder),
        Err(error) => error.to_string(),
    };
    Update |it| it.query.to_string(sq::PostgresQueryBuilder);
    Delete |it| it.query.to_string(sq::PostgresQueryBuilder);
}
