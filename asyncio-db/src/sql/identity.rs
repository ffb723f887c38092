//! The identity map: for each row that a session knows, its instance.

use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use asyncio_core::Result;

use super::instance::{AnySlot, Home, Instance, InstanceState, Slot};
use super::row::Row;
use super::table::{Key, Table};
use super::value::Value;

/// A primary key, to be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    Integer(i64),
    Several(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Null,
    Bool(bool),
    Integer(i64),
    Real(u64),
    Text(String),
    Blob(Vec<u8>),
}

/// A row of all tables.
pub(super) type IdentityKey = (TypeId, Id);

/// The instances of a session, as long as somebody has them.
#[doc(hidden)]
#[expect(unnameable_types, reason = "only this crate is to have any")]
pub struct Identity {
    map: HashMap<IdentityKey, Weak<dyn AnySlot>>,
    pub(super) home: Arc<Home>,
    /// When there are so many, those that nobody has are thrown away.
    most: usize,
}

const FEW: usize = 1024;

impl Id {
    pub(super) fn of_row<M: Table>(row: &M) -> Self {
        Self::of_key(row.key())
    }

    pub(super) fn of_key(key: impl Key) -> Self {
        Self::of_values(key.into_values())
    }

    pub(super) fn of_values(values: Vec<Value>) -> Self {
        if let [Value::Integer(key)] = values[..] {
            return Self::Integer(key);
        }
        let parts = values.into_iter().map(|value| match value {
            Value::Null => Part::Null,
            Value::Bool(it) => Part::Bool(it),
            Value::Integer(it) => Part::Integer(it),
            Value::Real(it) => Part::Real(it.to_bits()),
            Value::Text(it) => Part::Text(it),
            Value::Blob(it) => Part::Blob(it),
        });
        Self::Several(parts.collect())
    }
}

impl Identity {
    pub(super) fn new() -> Self {
        Self {
            map: HashMap::new(),
            home: Arc::default(),
            most: FEW,
        }
    }

    /// The instance of a row that was read.
    pub(super) fn load<M: Table>(&mut self, row: &Row) -> Result<Instance<M>> {
        let value = M::from_row(row, 0)?;
        Ok(self.met(value, false))
    }

    /// The instance of these values, which are the database's. One that is known keeps its own, unless it
    /// has expired or this is to refresh it.
    pub(super) fn met<M: Table>(&mut self, value: M, refresh: bool) -> Instance<M> {
        let key = (TypeId::of::<M>(), Id::of_row(&value));
        if let Some(slot) = self.find::<M>(&key) {
            if refresh || slot.is_expired() {
                slot.came_across(value, !refresh);
            }
            return Instance(slot);
        }
        let instance = Instance::persistent(value, &self.home);
        self.insert(key, Arc::downgrade(&instance.0) as _);
        instance
    }

    pub(super) fn find<M: Table>(&self, key: &IdentityKey) -> Option<Arc<Slot<M>>> {
        let slot = self.map.get(key)?.upgrade()?;
        slot.into_any().downcast().ok()
    }

    fn insert(&mut self, key: IdentityKey, slot: Weak<dyn AnySlot>) {
        if self.map.len() >= self.most {
            self.map.retain(|_, slot| slot.strong_count() > 0);
            self.most = (self.map.len() * 2).max(FEW);
        }
        self.map.insert(key, slot);
    }

    /// Has it found by the name of its row.
    pub(super) fn put(&mut self, slot: &Arc<dyn AnySlot>) {
        if let Some(key) = slot.identity() {
            self.insert(key, Arc::downgrade(slot));
        }
    }

    pub(super) fn remove(&mut self, key: &IdentityKey) {
        self.map.remove(key);
    }

    /// All that somebody has.
    pub(super) fn all(&self) -> Vec<Arc<dyn AnySlot>> {
        self.map.values().filter_map(Weak::upgrade).collect()
    }

    /// Those of a table were changed behind the session's back.
    pub(super) fn expire(&self, table: TypeId) {
        for slot in self.all() {
            if slot.type_id() == table && slot.status() == InstanceState::Persistent {
                slot.expire();
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("known", &self.map.len())
            .finish_non_exhaustive()
    }
}
