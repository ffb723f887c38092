//! Expressions: columns, what they are compared with, and functions of them.

use std::fmt;
use std::marker::PhantomData;

use sea_query::{self as sq, ExprTrait as _, IntoIden as _};

use super::table::Column;
use super::value::{Field, Value};

/// Something in a statement whose value is of the type `T`.
///
/// A condition is one of type `bool`. It is made of [`Column`]s and of the functions in [`func`].
///
/// ```
/// use asyncio_db::sql::{Table, func, select};
///
/// #[derive(Clone, Table)]
/// struct Cheese {
///     #[table(primary_key)]
///     name: String,
///     weeks: i32,
/// }
///
/// let young = Cheese::WEEKS.lt(20).and(Cheese::NAME.ne("quark"));
/// let statement = select::<Cheese>().columns(func::count()).filter(young);
/// assert_eq!(
///     statement.to_string(),
///     r#"SELECT COUNT(*) FROM "cheese" WHERE "cheese"."weeks" < 20 AND "cheese"."name" <> 'quark'"#
/// );
/// ```
pub struct Expression<T> {
    pub(super) expr: sq::Expr,
    of: PhantomData<fn() -> T>,
}

/// An order of rows by something.
#[derive(Clone, Debug)]
pub struct Ordering {
    pub(super) expr: sq::Expr,
    pub(super) order: sq::Order,
    pub(super) nulls: Option<sq::NullOrdering>,
}

/// What something of the type `T` can be compared with, or set to: a value, a column, or an expression.
pub trait Operand<T> {
    #[doc(hidden)]
    fn into_expr(self) -> sq::Expr;

    /// Whether it is the value null, which nothing is equal to.
    #[doc(hidden)]
    fn is_null(&self) -> bool {
        false
    }
}

impl<T> Expression<T> {
    pub(super) const fn new(expr: sq::Expr) -> Self {
        Self {
            expr,
            of: PhantomData,
        }
    }

    /// One of sea-query's, for all that is not offered here.
    #[must_use]
    pub const fn from_query(expr: sq::Expr) -> Self {
        Self::new(expr)
    }

    /// As sea-query has it.
    #[must_use]
    pub fn into_query(self) -> sq::Expr {
        self.expr
    }
}

impl Expression<bool> {
    /// Both.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        Self::new(self.expr.and(other.into().expr))
    }

    /// One of both, or both.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        Self::new(self.expr.or(other.into().expr))
    }
}

impl std::ops::Not for Expression<bool> {
    type Output = Self;

    fn not(self) -> Self {
        Self::new(self.expr.not())
    }
}

impl<M, T> From<Column<M, T>> for Expression<T> {
    fn from(column: Column<M, T>) -> Self {
        let name = (column.table().into_iden(), column.name().into_iden());
        Self::new(sq::Expr::col(name))
    }
}

impl<T: Field> Operand<T> for T {
    fn into_expr(self) -> sq::Expr {
        sq::Expr::val(self.to_value().into_query())
    }

    fn is_null(&self) -> bool {
        self.to_value().is_null()
    }
}

/// What may be null may be compared with what is not.
impl<T: Field> Operand<Option<T>> for T {
    fn into_expr(self) -> sq::Expr {
        sq::Expr::val(self.to_value().into_query())
    }
}

impl Operand<String> for &str {
    fn into_expr(self) -> sq::Expr {
        sq::Expr::val(self)
    }
}

impl Operand<Option<String>> for &str {
    fn into_expr(self) -> sq::Expr {
        sq::Expr::val(self)
    }
}

impl<M, T> Operand<T> for Column<M, T> {
    fn into_expr(self) -> sq::Expr {
        Expression::from(self).expr
    }
}

impl<M, T> Operand<Option<T>> for Column<M, T> {
    fn into_expr(self) -> sq::Expr {
        Expression::from(self).expr
    }
}

impl<T> Operand<T> for Expression<T> {
    fn into_expr(self) -> sq::Expr {
        self.expr
    }
}

/// The same for a column and for an expression.
macro_rules! operators {
    ($([$($generic:ident),*] $type:ty)*) => {$(
        impl<$($generic),*> $type {
            /// Whether both are the same; of `None`, whether it is null.
            #[must_use]
            pub fn eq(self, other: impl Operand<T>) -> Expression<bool> {
                let this = Expression::from(self).expr;
                Expression::new(match other.is_null() {
                    true => this.is_null(),
                    false => this.eq(other.into_expr()),
                })
            }

            /// Whether both differ; of `None`, whether it is not null.
            #[must_use]
            pub fn ne(self, other: impl Operand<T>) -> Expression<bool> {
                let this = Expression::from(self).expr;
                Expression::new(match other.is_null() {
                    true => this.is_not_null(),
                    false => this.ne(other.into_expr()),
                })
            }

            /// Whether it is less.
            #[must_use]
            pub fn lt(self, other: impl Operand<T>) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.lt(other.into_expr()))
            }

            /// Whether it is less, or the same.
            #[must_use]
            pub fn le(self, other: impl Operand<T>) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.lte(other.into_expr()))
            }

            /// Whether it is more.
            #[must_use]
            pub fn gt(self, other: impl Operand<T>) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.gt(other.into_expr()))
            }

            /// Whether it is more, or the same.
            #[must_use]
            pub fn ge(self, other: impl Operand<T>) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.gte(other.into_expr()))
            }

            /// Whether it is neither less than the one nor more than the other.
            #[must_use]
            pub fn between(self, least: impl Operand<T>, most: impl Operand<T>) -> Expression<bool> {
                let this = Expression::from(self).expr;
                Expression::new(this.between(least.into_expr(), most.into_expr()))
            }

            /// Whether it is one of these; none of no values.
            #[must_use]
            pub fn is_in<O: Operand<T>>(self, values: impl IntoIterator<Item = O>) -> Expression<bool> {
                let values = values.into_iter().map(Operand::into_expr);
                Expression::new(Expression::from(self).expr.is_in(values))
            }

            /// Whether it is none of these.
            #[must_use]
            pub fn not_in<O: Operand<T>>(self, values: impl IntoIterator<Item = O>) -> Expression<bool> {
                let values = values.into_iter().map(Operand::into_expr);
                Expression::new(Expression::from(self).expr.is_not_in(values))
            }

            /// Whether it is text of this pattern, in which `%` stands for any text and `_` for one
            /// character.
            #[must_use]
            pub fn like(self, pattern: &str) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.like(pattern))
            }

            /// Whether it is null.
            #[must_use]
            pub fn is_null(self) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.is_null())
            }

            /// Whether it is not null.
            #[must_use]
            pub fn is_not_null(self) -> Expression<bool> {
                Expression::new(Expression::from(self).expr.is_not_null())
            }

            /// The smallest first.
            #[must_use]
            pub fn asc(self) -> Ordering {
                Ordering::new(Expression::from(self).expr, sq::Order::Asc)
            }

            /// The largest first.
            #[must_use]
            pub fn desc(self) -> Ordering {
                Ordering::new(Expression::from(self).expr, sq::Order::Desc)
            }
        }
    )*};
}

/// Calculations, which are PostgreSQL's or SQLite's.
macro_rules! calculations {
    ($($trait:ident $method:ident)*) => {$(
        impl<M, T, O: Operand<T>> std::ops::$trait<O> for Column<M, T> {
            type Output = Expression<T>;

            fn $method(self, other: O) -> Expression<T> {
                Expression::new(Expression::from(self).expr.$method(other.into_expr()))
            }
        }

        impl<T, O: Operand<T>> std::ops::$trait<O> for Expression<T> {
            type Output = Self;

            fn $method(self, other: O) -> Self {
                Self::new(self.expr.$method(other.into_expr()))
            }
        }
    )*};
}

calculations! { Add add Sub sub Mul mul Div div }

operators! { [M, T] Column<M, T> [T] Expression<T> }

impl Ordering {
    const fn new(expr: sq::Expr, order: sq::Order) -> Self {
        Self {
            expr,
            order,
            nulls: None,
        }
    }

    /// What is null comes first.
    #[must_use]
    pub fn nulls_first(mut self) -> Self {
        self.nulls = Some(sq::NullOrdering::First);
        self
    }

    /// What is null comes last.
    #[must_use]
    pub fn nulls_last(mut self) -> Self {
        self.nulls = Some(sq::NullOrdering::Last);
        self
    }
}

impl<M, T> From<Column<M, T>> for Ordering {
    fn from(column: Column<M, T>) -> Self {
        column.asc()
    }
}

impl<T> From<Expression<T>> for Ordering {
    fn from(expression: Expression<T>) -> Self {
        expression.asc()
    }
}

impl<T> Clone for Expression<T> {
    fn clone(&self) -> Self {
        Self::new(self.expr.clone())
    }
}

impl<T> fmt::Debug for Expression<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

/// Functions of the database (`sqlalchemy.func`).
pub mod func {
    use sea_query::{self as sq, ExprTrait as _};

    use super::{Expression, Field, Value};

    /// How many rows there are.
    #[must_use]
    pub fn count() -> Expression<i64> {
        Expression::new(sq::Func::count(sq::Expr::col(sq::Asterisk)).into())
    }

    /// How many are not null.
    #[must_use]
    pub fn count_of<T>(of: impl Into<Expression<T>>) -> Expression<i64> {
        Expression::new(of.into().expr.count())
    }

    /// The smallest, if there is any.
    #[must_use]
    pub fn min<T>(of: impl Into<Expression<T>>) -> Expression<Option<T>> {
        Expression::new(of.into().expr.min())
    }

    /// The largest, if there is any.
    #[must_use]
    pub fn max<T>(of: impl Into<Expression<T>>) -> Expression<Option<T>> {
        Expression::new(of.into().expr.max())
    }

    /// The sum of whole numbers, if there are any.
    #[must_use]
    pub fn sum<T: Into<i64>>(of: impl Into<Expression<T>>) -> Expression<Option<i64>> {
        // In PostgreSQL that of integers of 64 bits is a number without a limit.
        Expression::new(of.into().expr.sum().cast_as("bigint"))
    }

    /// The mean, if there are any.
    #[must_use]
    pub fn avg<T>(of: impl Into<Expression<T>>) -> Expression<Option<f64>> {
        Expression::new(of.into().expr.avg().cast_as("double precision"))
    }

    /// In small letters.
    #[must_use]
    pub fn lower(of: impl Into<Expression<String>>) -> Expression<String> {
        Expression::new(sq::Func::lower(of.into().expr).into())
    }

    /// In capitals.
    #[must_use]
    pub fn upper(of: impl Into<Expression<String>>) -> Expression<String> {
        Expression::new(sq::Func::upper(of.into().expr).into())
    }

    /// The first, or the second where that is null.
    #[must_use]
    pub fn coalesce<T: Field>(
        first: impl Into<Expression<Option<T>>>,
        second: impl Into<Expression<T>>,
    ) -> Expression<T> {
        Expression::new(sq::Func::coalesce([first.into().expr, second.into().expr]).into())
    }

    /// A value as an expression.
    #[must_use]
    pub fn literal<T: Field>(value: T) -> Expression<T> {
        Expression::new(sq::Expr::val(value.to_value().into_query()))
    }

    /// A function by its name, with values for its arguments. The name is not checked.
    #[must_use]
    pub fn call<T: Field>(
        name: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Expression<T> {
        let arguments = arguments
            .into_iter()
            .map(|value| sq::Expr::val(value.into_query()));
        Expression::new(sq::Func::cust(name).args(arguments).into())
    }
}
