//! `select`.

use std::fmt;
use std::marker::PhantomData;

use asyncio_core::Result;
use sea_query::{self as sq, IntoIden as _};

use super::expression::{Expression, Operand, Ordering};
use super::statement::{Compiled, Dialect, Entity, Gives, Selection, Shape, Statement, build};
use super::table::{Column, Table};

/// The rows of a table (`sqlalchemy.select(User)`).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{MetaData, Table, create_async_engine, insert, select};
///
/// #[derive(Clone, Debug, Table)]
/// struct User {
///     #[table(primary_key, generated)]
///     id: i64,
///     name: String,
///     is_active: bool,
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     let mut connection = engine.begin().await?;
///     MetaData::new().table::<User>().create_all(&mut connection).await?;
///     connection.execute(insert().row(&User { id: 0, name: "Ann".to_owned(), is_active: true })).await?;
///
///     let active = select::<User>().filter(User::IS_ACTIVE).order_by(User::NAME).limit(100);
///     let users = connection.execute(active).await?.scalars().all();
///     assert_eq!(users[0].name, "Ann");
///     connection.commit().await
/// })
/// # }
/// ```
pub fn select<M: Table>() -> Select<Entity<M>> {
    let mut query = sq::SelectStatement::new();
    query.from(M::NAME);
    for column in M::COLUMNS {
        query.column((M::NAME.into_iden(), column.name.into_iden()));
    }
    Select::of(query)
}

/// A `SELECT`; see [`select`].
#[must_use = "it is to be executed"]
pub struct Select<S> {
    query: sq::SelectStatement,
    shape: PhantomData<fn() -> S>,
}

impl<S> Select<S> {
    const fn of(query: sq::SelectStatement) -> Self {
        Self {
            query,
            shape: PhantomData,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut sq::SelectStatement)) -> Self {
        change(&mut self.query);
        self
    }

    /// Only these columns or expressions, in place of all columns
    /// (`select(User.id, User.name)`, `with_only_columns`).
    pub fn columns<C: Selection>(mut self, columns: C) -> Select<C::Shape> {
        self.query.clear_selects().exprs(columns.exprs());
        Select::of(self.query)
    }

    /// Only rows of which this is so; several count together (`where`, which is a word of Rust's, and
    /// SQLAlchemy's `filter`).
    pub fn filter(self, condition: impl Into<Expression<bool>>) -> Self {
        self.with(|query| {
            query.and_where(condition.into().expr);
        })
    }

    /// Only rows whose column has this value.
    pub fn filter_by<M, T>(self, column: Column<M, T>, value: impl Operand<T>) -> Self {
        self.filter(column.eq(value))
    }

    /// In this order; several count one after the other.
    pub fn order_by(self, order: impl Into<Ordering>) -> Self {
        let Ordering { expr, order, nulls } = order.into();
        self.with(|query| {
            match nulls {
                None => query.order_by_expr(expr, order),
                Some(nulls) => query.order_by_expr_with_nulls(expr, order, nulls),
            };
        })
    }

    /// So many at the most.
    pub fn limit(self, count: u64) -> Self {
        self.with(|query| {
            query.limit(count);
        })
    }

    /// Without the first so many.
    pub fn offset(self, count: u64) -> Self {
        self.with(|query| {
            // SQLite knows no offset without a limit.
            query.offset(count);
        })
    }

    /// Each row once.
    pub fn distinct(self) -> Self {
        self.with(|query| {
            query.distinct();
        })
    }

    /// With the rows of another table that belong to it.
    pub fn join<M: Table>(self, on: impl Into<Expression<bool>>) -> Self {
        self.with(|query| {
            query.inner_join(M::NAME, on.into().expr);
        })
    }

    /// With the rows of another table that belong to it, or nulls where there are none.
    pub fn outerjoin<M: Table>(self, on: impl Into<Expression<bool>>) -> Self {
        self.with(|query| {
            query.left_join(M::NAME, on.into().expr);
        })
    }

    /// One row for each value of this.
    pub fn group_by<T>(self, by: impl Into<Expression<T>>) -> Self {
        self.with(|query| {
            query.add_group_by([by.into().expr]);
        })
    }

    /// Only groups of which this is so.
    pub fn having(self, condition: impl Into<Expression<bool>>) -> Self {
        self.with(|query| {
            query.and_having(condition.into().expr);
        })
    }

    /// The rows are locked until the transaction ends; SQLite, which locks as a whole, knows no such thing
    /// and needs none.
    pub fn with_for_update(self) -> Self {
        self.with(|query| {
            query.lock_exclusive();
        })
    }

    /// Whether there is any such row, as a condition of another statement.
    pub fn exists(self) -> Expression<bool> {
        Expression::new(sq::Expr::exists(self.query))
    }

    /// As sea-query has it, for all that is not offered here.
    #[must_use]
    pub fn into_query(self) -> sq::SelectStatement {
        self.query
    }

    /// One of sea-query's, whose columns are those of this.
    pub fn map_query(mut self, change: impl FnOnce(&mut sq::SelectStatement)) -> Self {
        change(&mut self.query);
        self
    }
}

impl<S: Shape> Statement for Select<S> {
    type Shape = S;

    fn compile(&self, dialect: Dialect) -> Result<Compiled> {
        let built = build!(self.query, dialect);
        Ok(Compiled::new(built, false, Gives::Rows, None))
    }
}

impl<S> Clone for Select<S> {
    fn clone(&self) -> Self {
        Self::of(self.query.clone())
    }
}

impl<S> fmt::Display for Select<S> {
    /// In PostgreSQL's SQL, with its values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.query.to_string(sq::PostgresQueryBuilder))
    }
}

impl<S> fmt::Debug for Select<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Select({self})")
    }
}
