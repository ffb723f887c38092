//! Tables: what `#[derive(Table)]` makes of a struct.

use std::fmt;
use std::marker::PhantomData;

use super::errors::ValueError;
use super::row::Row;
use super::value::{Field, Kind, Value};

/// A struct whose values are the rows of a table (a class that derives from `DeclarativeBase`).
///
/// It is derived: each field is a column, and for each there is a constant in capitals that stands for the
/// column in statements.
///
/// ```
/// use asyncio_db::sql::{Table, select};
///
/// #[derive(Clone, Debug, Table)]
/// #[table(name = "tenants")]
/// struct Tenant {
///     #[table(primary_key, generated)]
///     id: i64,
///     #[table(unique)]
///     name: String,
///     floor: Option<i32>,
/// }
///
/// #[derive(Clone, Debug, Table)]
/// struct Letter {
///     #[table(primary_key)]
///     number: i64,
///     #[table(references = Tenant::ID)]
///     tenant: i64,
/// }
///
/// assert_eq!((Tenant::NAME.name(), Letter::NAME), ("name", "letter"));
/// let statement = select::<Tenant>().filter(Tenant::FLOOR.gt(2)).order_by(Tenant::NAME);
/// assert!(statement.to_string().ends_with(r#"FROM "tenants" WHERE "tenants"."floor" > 2 ORDER BY "tenants"."name" ASC"#));
/// ```
///
/// On the struct:
///
/// - `name = "…"`: the table's name; the struct's in small letters otherwise.
/// - `crate = path::to::sql`: where this module is found.
///
/// On a field:
///
/// - `primary_key`: it is the primary key, or a part of it.
/// - `generated`: the database gives it a value where it is 0, which is to be a primary key of integers.
/// - `unique`: no two rows have the same.
/// - `references = Other::ID`: it is the key of a row of another table, which has to be there before.
/// - `column = "…"`: the column's name; the field's otherwise.
///
/// An `Option` may be null.
pub trait Table: Clone + Send + Sync + 'static {
    /// What the table is called.
    const NAME: &'static str;
    /// Its columns, in the order of the fields.
    const COLUMNS: &'static [ColumnInfo];
    /// The type of its primary key: of its field, or a tuple of several.
    type Key: Key;

    /// The primary key of this row.
    fn key(&self) -> Self::Key;

    #[doc(hidden)]
    fn value(&self, column: usize) -> Value;

    #[doc(hidden)]
    fn set_value(&mut self, column: usize, value: Value) -> Result<(), ValueError>;

    #[doc(hidden)]
    fn from_row(row: &Row, first: usize) -> Result<Self, ValueError>;
}

/// What can be a primary key: a value, or a tuple of up to four.
pub trait Key: Send + 'static {
    #[doc(hidden)]
    fn into_values(self) -> Vec<Value>;
}

impl<T: Field> Key for T {
    fn into_values(self) -> Vec<Value> {
        vec![self.to_value()]
    }
}

macro_rules! keys {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Field),+> Key for ($($name,)+) {
            fn into_values(self) -> Vec<Value> {
                vec![$(self.$index.to_value()),+]
            }
        }
    };
}

keys!(A 0, B 1);
keys!(A 0, B 1, C 2);
keys!(A 0, B 1, C 2, D 3);

/// What is known of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) nullable: bool,
    pub(super) primary_key: bool,
    pub(super) generated: bool,
    pub(super) unique: bool,
    pub(super) references: Option<Reference>,
}

/// A column of another table, whose values are the only ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
}

impl ColumnInfo {
    #[doc(hidden)]
    #[must_use]
    pub const fn new<T: Field>(name: &'static str) -> Self {
        Self {
            name,
            kind: T::KIND,
            nullable: T::NULLABLE,
            primary_key: false,
            generated: false,
            unique: false,
            references: None,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn primary_key(mut self) -> Self {
        self.primary_key = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn generated(mut self) -> Self {
        self.generated = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn references(mut self, reference: Reference) -> Self {
        self.references = Some(reference);
        self
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How it is declared.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it may be null.
    #[must_use]
    pub const fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// Whether it is the primary key, or a part of it.
    #[must_use]
    pub const fn is_primary_key(&self) -> bool {
        self.primary_key
    }

    /// The table that it refers to, if it does.
    #[must_use]
    pub fn references_table(&self) -> Option<&'static str> {
        self.references.map(|it| it.table)
    }
}

/// A column in a statement: of the table `M`, with values of the type `T`.
///
/// What it can be compared with is what is in it, so that most mistakes do not compile.
pub struct Column<M, T> {
    table: &'static str,
    name: &'static str,
    of: PhantomData<fn() -> (M, T)>,
}

impl<M, T> Column<M, T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(table: &'static str, name: &'static str) -> Self {
        Self {
            table,
            name,
            of: PhantomData,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The table that it is of.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        self.table
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn reference(self) -> Reference {
        Reference {
            table: self.table,
            column: self.name,
        }
    }
}

impl<M, T> Clone for Column<M, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M, T> Copy for Column<M, T> {}

impl<M, T> fmt::Debug for Column<M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.name)
    }
}

/// Whether a generated key is left to the database.
pub(super) const fn is_unset(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Integer(0))
}
