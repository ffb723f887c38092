//! The unit of work: which statements a flush consists of, and in which order.

use std::sync::Arc;

use asyncio_core::Result;
use sea_query::{self as sq, ExprTrait as _};

use super::driver::{Done, Step};
use super::errors::StaleDataError;
use super::instance::{AnySlot, Change, ChangeKind};
use super::statement::{Dialect, Gives, build};
use super::table::ColumnInfo;
use super::value::Value;

/// The tables of what has changed, those that are referred to before those that refer to them; in the order
/// in which they came where that does not matter, or cannot be.
pub(super) fn in_order(slots: &[Arc<dyn AnySlot>]) -> Vec<&'static str> {
    let mut tables: Vec<(&'static str, &'static [ColumnInfo])> = Vec::new();
    for slot in slots {
        if !tables.iter().any(|(name, _)| *name == slot.table()) {
            tables.push((slot.table(), slot.columns()));
        }
    }
    sort(tables)
}

/// As [`in_order`], of tables.
pub(super) fn sort(mut left: Vec<(&'static str, &'static [ColumnInfo])>) -> Vec<&'static str> {
    let mut sorted = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits_for_none = |(name, columns): &(&str, &[ColumnInfo])| {
            let mut referred = columns.iter().filter_map(|column| column.references);
            !referred.any(|to| to.table != *name && left.iter().any(|(it, _)| *it == to.table))
        };
        // In a circle somebody has to be the first.
        let first = left.iter().position(waits_for_none).unwrap_or(0);
        sorted.push(left.remove(first).0);
    }
    sorted
}

/// One change that is being written.
pub(super) struct Job {
    pub(super) slot: Arc<dyn AnySlot>,
    pub(super) change: Change,
}

impl Job {
    /// The statement.
    pub(super) fn step(&self, dialect: Dialect) -> Step {
        let (table, columns) = (self.slot.table(), self.slot.columns());
        let expr = |value: &Value| sq::Expr::val(value.clone().into_query());
        let is_this =
            |(place, value): &(usize, Value)| sq::Expr::col(columns[*place].name).eq(expr(value));
        let mut gives = Gives::Count;
        let (sql, values) = match self.change.kind {
            ChangeKind::Insert => {
                let mut query = sq::InsertStatement::new();
                query.into_table(table);
                let set = &self.change.set;
                query.columns(set.iter().map(|(place, _)| columns[*place].name));
                if set.is_empty() {
                    query.or_default_values();
                } else {
                    // There are as many as there are columns.
                    query.values_panic(set.iter().map(|(_, value)| expr(value)));
                }
                if let Some(place) = self.change.generated {
                    query.returning_col(columns[place].name);
                    gives = Gives::Rows;
                }
                build!(query, dialect)
            }
            ChangeKind::Update => {
                let mut query = sq::UpdateStatement::new();
                query.table(table);
                for (place, value) in &self.change.set {
                    query.value(columns[*place].name, expr(value));
                }
                for key in &self.change.key {
                    query.and_where(is_this(key));
                }
                build!(query, dialect)
            }
            ChangeKind::Delete => {
                let mut query = sq::DeleteStatement::new();
                query.from_table(table);
                for key in &self.change.key {
                    query.and_where(is_this(key));
                }
                build!(query, dialect)
            }
        };
        Step {
            sql: sql.into(),
            values: values.0.into_iter().map(Value::of_query).collect(),
            gives,
        }
    }

    /// Looks at what has come of it.
    pub(super) fn check(&self, done: &Done) -> Result<(), StaleDataError> {
        let what = match self.change.kind {
            ChangeKind::Insert => return Ok(()),
            ChangeKind::Update => "updated",
            ChangeKind::Delete => "deleted",
        };
        match done.count {
            1 => Ok(()),
            _ => Err(StaleDataError::new(self.slot.table(), what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn refers(table: &'static str) -> ColumnInfo {
        ColumnInfo::new::<i64>("x").references(super::super::table::Reference {
            table,
            column: "id",
        })
    }

    #[test]
    fn who_refers_comes_after_who_is_referred_to() {
        const LINE: &[ColumnInfo] = &[refers("orders"), refers("items")];
        const ORDERS: &[ColumnInfo] = &[refers("users"), refers("orders")];
        let tables = vec![
            ("lines", LINE),
            ("orders", ORDERS),
            ("users", &[][..]),
            ("items", &[][..]),
        ];
        assert_eq!(sort(tables), ["users", "orders", "items", "lines"]);
        const A: &[ColumnInfo] = &[refers("b")];
        const B: &[ColumnInfo] = &[refers("a")];
        assert_eq!(
            sort(vec![("a", A), ("b", B)]),
            ["a", "b"],
            "a circle has some order"
        );
    }
}
