//! What can be executed, and what its rows become.

use std::any::TypeId;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;

use asyncio_core::Result;
use sea_query as sq;

use super::expression::Expression;
use super::identity::Identity;
use super::instance::Instance;
use super::row::Row;
use super::table::{Column, Table};
use super::value::{Field, Value};

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// PostgreSQL's.
    Postgres,
    /// SQLite's.
    Sqlite,
}

/// A statement: [`select`](super::select), [`insert`](super::insert), [`update`](super::update),
/// [`delete`](super::delete), [`text`](super::text).
pub trait Statement: Send + Sync {
    /// What its rows become.
    type Shape: Shape;

    #[doc(hidden)]
    fn compile(&self, dialect: Dialect) -> Result<Compiled>;
}

/// A statement as it is sent.
#[doc(hidden)]
#[expect(unnameable_types, reason = "only this crate is to have any")]
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
    /// Whether it changes anything, as far as is known.
    pub(super) writes: bool,
    pub(super) gives: Gives,
    /// The table whose rows it changes without the session's knowledge.
    pub(super) touches: Option<TypeId>,
}

/// What comes of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    Rows,
    Count,
    /// That is for the database to say.
    Either,
}

impl Compiled {
    pub(super) fn new(
        (sql, values): (String, sq::Values),
        writes: bool,
        gives: Gives,
        touches: Option<TypeId>,
    ) -> Self {
        Self {
            sql: Cow::Owned(sql),
            values: values.0.into_iter().map(Value::of_query).collect(),
            writes,
            gives,
            touches,
        }
    }
}

/// Builds a statement of sea-query's for a dialect.
macro_rules! build {
    ($query:expr, $dialect:expr) => {
        match $dialect {
            $crate::sql::Dialect::Postgres => $query.build(::sea_query::PostgresQueryBuilder),
            $crate::sql::Dialect::Sqlite => $query.build(::sea_query::SqliteQueryBuilder),
        }
    };
}
pub(super) use build;

/// What the rows of a statement become.
pub trait Shape: Send + 'static {
    /// On a connection.
    type Plain: Scalar + Send;
    /// In a session.
    type Loaded: Scalar + Send;

    #[doc(hidden)]
    fn plain(row: &Row) -> Result<Self::Plain>;

    #[doc(hidden)]
    fn load(row: &Row, identity: &mut Identity) -> Result<Self::Loaded>;
}

/// What is the first of a row (`scalars()`).
pub trait Scalar {
    /// Its type.
    type Scalar: Send;

    /// The first of the row.
    fn into_scalar(self) -> Self::Scalar;
}

/// Each row is one of a table's: on a connection a value, in a session an [`Instance`].
#[derive(Debug)]
pub struct Entity<M>(PhantomData<fn() -> M>);

/// Each row is a tuple of values.
#[derive(Debug)]
pub struct Values<T>(PhantomData<fn() -> T>);

/// Each row is what comes: [`Row`].
#[derive(Debug)]
pub struct Anything(());

impl<M: Table> Shape for Entity<M> {
    type Plain = M;
    type Loaded = Instance<M>;

    fn plain(row: &Row) -> Result<M> {
        Ok(M::from_row(row, 0)?)
    }

    fn load(row: &Row, identity: &mut Identity) -> Result<Instance<M>> {
        identity.load(row)
    }
}

impl Shape for Anything {
    type Plain = Row;
    type Loaded = Row;

    fn plain(row: &Row) -> Result<Row> {
        Ok(row.clone())
    }

    fn load(row: &Row, _: &mut Identity) -> Result<Row> {
        Ok(row.clone())
    }
}

impl<M: Table> Scalar for M {
    type Scalar = M;

    fn into_scalar(self) -> M {
        self
    }
}

impl<M: Table> Scalar for Instance<M> {
    type Scalar = Self;

    fn into_scalar(self) -> Self {
        self
    }
}

impl Scalar for Row {
    type Scalar = Value;

    /// One that only PostgreSQL has is null here.
    fn into_scalar(self) -> Value {
        self.get(0).unwrap_or_default()
    }
}

/// What can be selected: a column, an expression, or a tuple of up to eight.
pub trait Selection {
    /// What each row becomes.
    type Shape: Shape;

    #[doc(hidden)]
    fn exprs(self) -> Vec<sq::Expr>;
}

impl<M, T: Field> Selection for Column<M, T> {
    type Shape = Values<(T,)>;

    fn exprs(self) -> Vec<sq::Expr> {
        vec![Expression::from(self).expr]
    }
}

impl<T: Field> Selection for Expression<T> {
    type Shape = Values<(T,)>;

    fn exprs(self) -> Vec<sq::Expr> {
        vec![self.expr]
    }
}

/// A column or an expression of a known type: a part of a [`Selection`].
pub trait Selected: Into<Expression<Self::Type>> {
    /// The type of its values.
    type Type: Field;
}

impl<M, T: Field> Selected for Column<M, T> {
    type Type = T;
}

impl<T: Field> Selected for Expression<T> {
    type Type = T;
}

macro_rules! tuples {
    ($first:ident $($name:ident $index:tt)*) => {
        impl<$first: Field, $($name: Field),*> Shape for Values<($first, $($name),*)> {
            type Plain = ($first, $($name),*);
            type Loaded = Self::Plain;

            fn plain(row: &Row) -> Result<Self::Plain> {
                Ok((row.get(0)?, $(row.get::<$name>($index)?),*))
            }

            fn load(row: &Row, _: &mut Identity) -> Result<Self::Plain> {
                Self::plain(row)
            }
        }

        impl<$first: Field, $($name: Field),*> Scalar for ($first, $($name),*) {
            type Scalar = $first;

            fn into_scalar(self) -> $first {
                self.0
            }
        }

        impl<$first: Selected, $($name: Selected),*> Selection for ($first, $($name),*) {
            type Shape = Values<($first::Type, $($name::Type),*)>;

            fn exprs(self) -> Vec<sq::Expr> {
                vec![self.0.into().expr, $(self.$index.into().expr),*]
            }
        }
    };
}

tuples!(A);
tuples!(A B 1);
tuples!(A B 1 C 2);
tuples!(A B 1 C 2 D 3);
tuples!(A B 1 C 2 D 3 E 4);
tuples!(A B 1 C 2 D 3 E 4 F 5);
tuples!(A B 1 C 2 D 3 E 4 F 5 G 6);
tuples!(A B 1 C 2 D 3 E 4 F 5 G 6 H 7);

/// A list of names that rows share.
pub(super) type Keys = Arc<[String]>;
