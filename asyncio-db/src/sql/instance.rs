//! Instances: the rows that a session knows.

use std::any::{Any, TypeId};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use asyncio_core::waiting::Mutex;

use super::errors::{InvalidRequestError, ValueError};
use super::identity::{Id, IdentityKey};
use super::table::{Column, ColumnInfo, Table, is_unset};
use super::value::Value;

/// A row that a [`Session`](super::Session) knows: in one session there is one for each row, and all who
/// have it see the same (an object of a mapped class).
///
/// [`get`](Self::get) shows the values, [`edit`](Self::edit) changes them. What was changed is written with
/// the session's next flush. A clone is the same instance.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_db::sql::{MetaData, Table, async_sessionmaker, create_async_engine};
///
/// #[derive(Clone, Debug, Table)]
/// struct Cheese {
///     #[table(primary_key, generated)]
///     id: i64,
///     name: String,
///     weeks: i32,
/// }
///
/// # fn main() -> Result<()> {
/// run(async {
///     let engine = create_async_engine("sqlite://").build()?;
///     engine.begin_with(async |it| MetaData::new().table::<Cheese>().create_all(it).await).await?;
///     let mut session = async_sessionmaker(&engine).session();
///
///     let brie = session.add(Cheese { id: 0, name: "brie".to_owned(), weeks: 5 });
///     session.flush().await?;
///     assert_eq!(brie.get().id, 1);
///
///     brie.edit().weeks += 1; // UPDATE cheese SET weeks = 6, with the next flush
///     session.commit().await?;
///     assert_eq!(brie.get().weeks, 6);
///     Ok(())
/// })
/// # }
/// ```
///
/// Nothing is ever read from the database behind one's back. An instance that is
/// [expired](Self::is_expired) still shows what was known last, and is read again when the session comes
/// across its row.
pub struct Instance<M>(pub(super) Arc<Slot<M>>);

/// What an instance is to its session (`sqlalchemy.inspect(instance)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstanceState {
    /// It is to be inserted.
    Pending,
    /// It is a row of the database, as far as the session knows.
    Persistent,
    /// It is deleted, or to be deleted.
    Deleted,
    /// The session has nothing to do with it any more.
    Detached,
}

/// What a session and its instances share.
#[derive(Default)]
pub(super) struct Home {
    /// Those that may have to be written, in the order in which they came.
    changed: Mutex<Vec<Arc<dyn AnySlot>>>,
}

pub(super) struct Slot<M> {
    state: Mutex<State<M>>,
    home: Arc<Home>,
}

#[derive(Clone)]
struct State<M> {
    value: Arc<M>,
    /// What the database has, within the transaction.
    known: Option<Arc<M>>,
    status: InstanceState,
    expired: bool,
    /// Whether it is among those that have changed.
    listed: bool,
    /// At which level of transactions it was inserted, if that is not committed.
    born: Option<usize>,
    /// Whether the database has deleted it.
    gone: bool,
    /// Columns that are the key of another instance, which may not have one yet.
    references: Vec<(usize, Arc<dyn AnySlot>)>,
}

/// What is to be written of an instance.
pub(super) struct Change {
    pub(super) kind: ChangeKind,
    pub(super) set: Vec<(usize, Value)>,
    /// Which row it is.
    pub(super) key: Vec<(usize, Value)>,
    /// The column whose value the database gives.
    pub(super) generated: Option<usize>,
    /// The values that are written: the slot's may be others by the time that is done.
    written: Arc<dyn Any + Send + Sync>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeKind {
    Insert,
    Update,
    Delete,
}

/// A slot, whatever its table is.
pub(super) trait AnySlot: Send + Sync {
    fn table(&self) -> &'static str;
    fn columns(&self) -> &'static [ColumnInfo];
    fn type_id(&self) -> TypeId;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn status(&self) -> InstanceState;
    fn is_expired(&self) -> bool;
    /// The name of the row that the database has.
    fn identity(&self) -> Option<IdentityKey>;
    /// The value of its only key, if it has one.
    fn key_value(&self) -> Option<Value>;
    /// Whether there may be something to be written.
    fn is_dirty(&self) -> bool;
    /// Whether it refers to one that has no key yet.
    fn waits(&self) -> bool;
    /// What is to be written, if anything is.
    fn change(&self) -> Result<Option<Change>, InvalidRequestError>;
    /// It was written, at this level.
    fn has_written(
        &self,
        change: Change,
        given: Option<Value>,
        level: usize,
    ) -> Result<(), ValueError>;
    fn save(&self) -> Box<dyn Any + Send + Sync>;
    /// It becomes what it was, or what the database had. False when the session has nothing to do with it
    /// any more.
    fn restore(&self, saved: Option<&(dyn Any + Send + Sync)>, level: usize) -> bool;
    fn expire(&self);
    /// As [`expire`](Self::expire), but what was edited stays.
    fn outdate(&self);
    fn detach(&self);
    /// What was done at this level is a part of the one around it; of none when it is committed.
    fn keep(&self, level: Option<usize>);
    fn unlist(&self);
}

impl<M: Table> Instance<M> {
    pub(super) fn pending(value: M, home: &Arc<Home>) -> Self {
        let slot = Slot::new(value, None, InstanceState::Pending, home);
        slot.list();
        Self(slot)
    }

    pub(super) fn persistent(value: M, home: &Arc<Home>) -> Self {
        let value = Arc::new(value);
        Self(Slot::new_shared(
            Arc::clone(&value),
            Some(value),
            InstanceState::Persistent,
            home,
        ))
    }

    /// Its values, as they are now.
    #[must_use]
    pub fn get(&self) -> Arc<M> {
        Arc::clone(&self.0.state.lock().value)
    }

    /// Changes it: what is done to the guard counts when that goes, at the end of the statement mostly.
    ///
    /// Who edits another column at the same time does not lose that.
    pub fn edit(&self) -> Edit<'_, M> {
        let base = self.get();
        Edit {
            value: Some((*base).clone()),
            base,
            instance: self,
        }
    }

    /// Has a column be the key of another instance, which may be one that the database is yet to give a
    /// key: that is inserted before.
    pub fn relate<T, O: Table>(&self, column: Column<M, T>, other: &Instance<O>) {
        let place = M::COLUMNS.iter().position(|it| it.name == column.name());
        let Some(place) = place else {
            return;
        };
        {
            let mut state = self.0.state.lock();
            state.references.retain(|(known, _)| *known != place);
            state.references.push((place, Arc::clone(&other.0) as _));
        }
        self.0.list();
    }

    /// Whether both are the same instance, as `is` says in Python.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What it is to its session.
    #[must_use]
    pub fn state(&self) -> InstanceState {
        self.0.status()
    }

    /// Whether its values may be outdated: it is read again when the session comes across its row.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        AnySlot::is_expired(&*self.0)
    }

    /// Whether it has values that were not written.
    #[must_use]
    pub fn is_modified(&self) -> bool {
        let (value, known) = {
            let state = self.0.state.lock();
            (Arc::clone(&state.value), state.known.clone())
        };
        known.is_none_or(|known| !differing(&*value, &*known).is_empty())
    }
}

/// The columns in which two rows differ.
fn differing<M: Table>(one: &M, other: &M) -> Vec<usize> {
    let columns = 0..M::COLUMNS.len();
    columns
        .filter(|column| one.value(*column) != other.value(*column))
        .collect()
}

/// Sets columns of a row to those of another.
fn take_over<M: Table>(row: &mut M, from: &M, columns: &[usize]) {
    for column in columns {
        // A value of this column's type is one.
        drop(row.set_value(*column, from.value(*column)));
    }
}

impl<M: Table> Slot<M> {
    fn new(value: M, known: Option<Arc<M>>, status: InstanceState, home: &Arc<Home>) -> Arc<Self> {
        Self::new_shared(Arc::new(value), known, status, home)
    }

    fn new_shared(
        value: Arc<M>,
        known: Option<Arc<M>>,
        status: InstanceState,
        home: &Arc<Home>,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                value,
                known,
                status,
                expired: false,
                listed: false,
                born: None,
                gone: false,
                references: Vec::new(),
            }),
            home: Arc::clone(home),
        })
    }

    /// Puts it among those that may have to be written.
    pub(super) fn list(self: &Arc<Self>) {
        {
            let mut state = self.state.lock();
            if state.listed || state.status == InstanceState::Detached {
                return;
            }
            state.listed = true;
        }
        self.home.push(Arc::clone(self) as _);
    }

    /// Applies what was changed between two values.
    fn apply(self: &Arc<Self>, base: &Arc<M>, edited: M) {
        let changed = differing(&edited, &**base);
        if changed.is_empty() {
            return;
        }
        let edited = Arc::new(edited);
        loop {
            let current = Arc::clone(&self.state.lock().value);
            let next = if Arc::ptr_eq(&current, base) {
                Arc::clone(&edited)
            } else {
                let mut next = (*current).clone();
                take_over(&mut next, &edited, &changed);
                Arc::new(next)
            };
            if self.replace(&current, next) {
                break;
            }
        }
        self.list();
    }

    /// Sets the value, unless it is another one by now.
    fn replace(&self, current: &Arc<M>, next: Arc<M>) -> bool {
        // What is dropped is the program's, and dropped without the lock.
        let _former = {
            let mut state = self.state.lock();
            if !Arc::ptr_eq(&state.value, current) {
                return false;
            }
            std::mem::replace(&mut state.value, next)
        };
        true
    }

    /// The session has come across its row. What was edited stays, where `keep` says so.
    pub(super) fn came_across(&self, row: M, keep: bool) {
        let (value, known) = {
            let state = self.state.lock();
            (Arc::clone(&state.value), state.known.clone())
        };
        let row = Arc::new(row);
        let mut next = Arc::clone(&row);
        if let (true, Some(known)) = (keep, &known) {
            let edited = differing(&*value, &**known);
            if !edited.is_empty() {
                let mut merged = (*row).clone();
                take_over(&mut merged, &value, &edited);
                next = Arc::new(merged);
            }
        }
        let _former = {
            let mut state = self.state.lock();
            state.expired = false;
            let known = state.known.replace(row);
            (std::mem::replace(&mut state.value, next), known)
        };
    }

    /// Whether it is of this session.
    pub(super) fn is_at(&self, home: &Arc<Home>) -> bool {
        Arc::ptr_eq(&self.home, home)
    }

    /// What the database has.
    pub(super) fn known(&self) -> Option<Arc<M>> {
        self.state.lock().known.clone()
    }

    /// It is to be deleted.
    pub(super) fn delete(self: &Arc<Self>) -> bool {
        {
            let mut state = self.state.lock();
            if state.status != InstanceState::Persistent {
                return false;
            }
            state.status = InstanceState::Deleted;
        }
        self.list();
        true
    }

    /// Sets it to these values.
    pub(super) fn assign(self: &Arc<Self>, value: M) {
        let base = Arc::clone(&self.state.lock().value);
        self.apply(&base, value);
    }
}

impl Home {
    fn push(&self, slot: Arc<dyn AnySlot>) {
        self.changed.lock().push(slot);
    }

    pub(super) fn take(&self) -> Vec<Arc<dyn AnySlot>> {
        let taken = std::mem::take(&mut *self.changed.lock());
        for slot in &taken {
            slot.unlist();
        }
        taken
    }

    pub(super) fn list(&self) -> Vec<Arc<dyn AnySlot>> {
        self.changed.lock().clone()
    }
}

impl<M: Table> AnySlot for Slot<M> {
    fn table(&self) -> &'static str {
        M::NAME
    }

    fn columns(&self) -> &'static [ColumnInfo] {
        M::COLUMNS
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<M>()
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn status(&self) -> InstanceState {
        self.state.lock().status
    }

    fn is_expired(&self) -> bool {
        self.state.lock().expired
    }

    fn identity(&self) -> Option<IdentityKey> {
        let known = self.state.lock().known.clone()?;
        Some((TypeId::of::<M>(), Id::of_row(&*known)))
    }

    fn key_value(&self) -> Option<Value> {
        let value = Arc::clone(&self.state.lock().value);
        let column = M::COLUMNS.iter().position(|it| it.primary_key)?;
        let key = value.value(column);
        (!(M::COLUMNS[column].generated && is_unset(&key))).then_some(key)
    }

    fn is_dirty(&self) -> bool {
        let (value, known) = {
            let state = self.state.lock();
            let known = match (state.status, &state.known) {
                (InstanceState::Detached, _) => return false,
                (InstanceState::Deleted, _) => return !state.gone,
                (InstanceState::Persistent, Some(known)) if state.references.is_empty() => known,
                _ => return true,
            };
            (Arc::clone(&state.value), Arc::clone(known))
        };
        !Arc::ptr_eq(&value, &known) && !differing(&*value, &*known).is_empty()
    }

    fn waits(&self) -> bool {
        let references = self.state.lock().references.clone();
        let mut others = references.iter().map(|(_, other)| other);
        others.any(|other| other.status() == InstanceState::Pending && other.key_value().is_none())
    }

    fn change(&self) -> Result<Option<Change>, InvalidRequestError> {
        let references = std::mem::take(&mut self.state.lock().references);
        for (place, (column, other)) in references.iter().enumerate() {
            let Some(key) = other.key_value() else {
                // It may have one another time.
                self.state
                    .lock()
                    .references
                    .extend_from_slice(&references[place..]);
                let (table, other) = (M::NAME, other.table());
                let message =
                    format!("a row of {table:?} refers to one of {other:?} without a key");
                return Err(InvalidRequestError::new(message));
            };
            let current = Arc::clone(&self.state.lock().value);
            let mut next = (*current).clone();
            if let Err(error) = next.set_value(*column, key) {
                return Err(InvalidRequestError::new(error.to_string()));
            }
            self.replace(&current, Arc::new(next));
        }
        let (value, known, status) = {
            let state = self.state.lock();
            (Arc::clone(&state.value), state.known.clone(), state.status)
        };
        let row_key = |row: &M| -> Vec<(usize, Value)> {
            let columns = M::COLUMNS.iter().enumerate();
            let keys = columns.filter(|(_, column)| column.primary_key);
            keys.map(|(place, _)| (place, row.value(place))).collect()
        };
        let change = match (status, known) {
            (InstanceState::Pending, _) => {
                let values = (0..M::COLUMNS.len()).map(|column| (column, value.value(column)));
                let (unset, set): (Vec<_>, Vec<_>) = values
                    .partition(|(column, value)| M::COLUMNS[*column].generated && is_unset(value));
                Change {
                    kind: ChangeKind::Insert,
                    set,
                    key: Vec::new(),
                    generated: unset.first().map(|(column, _)| *column),
                    written: value,
                }
            }
            (InstanceState::Persistent, Some(known)) => {
                let changed = differing(&*value, &*known);
                if changed.is_empty() {
                    return Ok(None);
                }
                Change {
                    kind: ChangeKind::Update,
                    set: changed
                        .iter()
                        .map(|column| (*column, value.value(*column)))
                        .collect(),
                    key: row_key(&known),
                    generated: None,
                    written: value,
                }
            }
            (InstanceState::Deleted, Some(known)) => Change {
                kind: ChangeKind::Delete,
                set: Vec::new(),
                key: row_key(&known),
                generated: None,
                written: value,
            },
            _ => return Ok(None),
        };
        Ok(Some(change))
    }

    fn has_written(
        &self,
        change: Change,
        given: Option<Value>,
        level: usize,
    ) -> Result<(), ValueError> {
        if change.kind == ChangeKind::Delete {
            self.state.lock().gone = true;
            return Ok(());
        }
        let Ok(mut written) = change.written.downcast::<M>() else {
            return Ok(());
        };
        if let (Some(column), Some(given)) = (change.generated, given) {
            let as_written = Arc::clone(&written);
            let mut with_key = (*written).clone();
            with_key.set_value(column, given.clone())?;
            written = Arc::new(with_key);
            loop {
                let current = Arc::clone(&self.state.lock().value);
                let next = if Arc::ptr_eq(&current, &as_written) {
                    Arc::clone(&written)
                } else {
                    // Somebody has edited it meanwhile.
                    let mut next = (*current).clone();
                    next.set_value(column, given.clone())?;
                    Arc::new(next)
                };
                if self.replace(&current, next) {
                    break;
                }
            }
        }
        let _former = {
            let mut state = self.state.lock();
            if change.kind == ChangeKind::Insert {
                state.status = InstanceState::Persistent;
                state.born = Some(level);
            }
            state.known.replace(written)
        };
        Ok(())
    }

    fn save(&self) -> Box<dyn Any + Send + Sync> {
        Box::new(self.state.lock().clone())
    }

    fn restore(&self, saved: Option<&(dyn Any + Send + Sync)>, level: usize) -> bool {
        let saved = saved
            .and_then(|saved| saved.downcast_ref::<State<M>>())
            .cloned();
        let _former = {
            let mut state = self.state.lock();
            let listed = state.listed;
            let next = match saved {
                Some(saved) if saved.status != InstanceState::Pending => State {
                    value: saved
                        .known
                        .clone()
                        .unwrap_or_else(|| Arc::clone(&saved.value)),
                    expired: saved.expired || level == 0,
                    status: InstanceState::Persistent,
                    gone: false,
                    references: Vec::new(),
                    ..saved
                },
                None if state.born.is_none_or(|born| born < level)
                    && state.status != InstanceState::Pending =>
                {
                    // It was read since: what it shows may be what is undone.
                    State {
                        value: state
                            .known
                            .clone()
                            .unwrap_or_else(|| Arc::clone(&state.value)),
                        expired: true,
                        status: InstanceState::Persistent,
                        gone: false,
                        references: Vec::new(),
                        ..state.clone()
                    }
                }
                _ => State {
                    known: None,
                    status: InstanceState::Detached,
                    born: None,
                    references: Vec::new(),
                    ..state.clone()
                },
            };
            let next = State { listed, ..next };
            std::mem::replace(&mut *state, next)
        };
        self.state.lock().status != InstanceState::Detached
    }

    fn outdate(&self) {
        let mut state = self.state.lock();
        state.expired = state.status == InstanceState::Persistent;
    }

    fn expire(&self) {
        let _former = {
            let mut state = self.state.lock();
            if state.status != InstanceState::Persistent {
                return;
            }
            state.expired = true;
            state
                .known
                .clone()
                .map(|known| std::mem::replace(&mut state.value, known))
        };
    }

    fn detach(&self) {
        let mut state = self.state.lock();
        state.status = InstanceState::Detached;
        state.references = Vec::new();
    }

    fn keep(&self, level: Option<usize>) {
        let mut state = self.state.lock();
        state.born = match (state.born, level) {
            (Some(born), Some(level)) => Some(born.min(level)),
            _ => None,
        };
    }

    fn unlist(&self) {
        self.state.lock().listed = false;
    }
}

/// Changes an [`Instance`] when it goes; see [`Instance::edit`].
#[must_use = "what is changed is changed through it"]
pub struct Edit<'a, M: Table> {
    instance: &'a Instance<M>,
    base: Arc<M>,
    /// There until it goes.
    value: Option<M>,
}

impl<M: Table> Deref for Edit<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        self.value.as_ref().unwrap_or(&self.base)
    }
}

impl<M: Table> DerefMut for Edit<'_, M> {
    fn deref_mut(&mut self) -> &mut M {
        self.value.get_or_insert_with(|| (*self.base).clone())
    }
}

impl<M: Table> Drop for Edit<'_, M> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.instance.0.apply(&self.base, value);
        }
    }
}

impl<M: Table + fmt::Debug> fmt::Debug for Edit<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<M> Clone for Instance<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Table + fmt::Debug> fmt::Debug for Instance<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.get();
        f.debug_tuple("Instance").field(&*value).finish()
    }
}
