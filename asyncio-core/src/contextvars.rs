//! Context variables (`contextvars`, PEP 567): values that follow a task, not a thread.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::current;
use crate::exceptions::{RuntimeError, ValueError};

/// A variable with a value of its own in every context.
///
/// A task runs in one context from its first step to its last, a copy of its creator's; a callback
/// runs in a copy of the context in which it was scheduled. So a value set before a task is made is
/// seen in the task, and what the task sets is not seen outside.
///
/// ```
/// use asyncio_core::{ContextVar, Result, create_task, run};
///
/// static REQUEST: ContextVar<u32> = ContextVar::new("request");
///
/// # fn main() -> Result<()> {
/// let seen = run(async {
///     REQUEST.set(7)?;
///     let child = create_task(async {
///         let inherited = REQUEST.get();
///         REQUEST.set(8)?;
///         Ok(inherited)
///     });
///     Ok((child.await?, REQUEST.get()))
/// })?;
/// assert_eq!(seen, (Some(7), Some(7)));
/// # Ok(())
/// # }
/// ```
pub struct ContextVar<T> {
    name: &'static str,
    /// Which variable this is, in every context's map; 0 until it is first used.
    id: AtomicUsize,
    default: Option<T>,
}

impl<T: Clone + Send + Sync + 'static> ContextVar<T> {
    /// A variable without a value anywhere.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            id: AtomicUsize::new(0),
            default: None,
        }
    }

    /// A variable whose value is `default` wherever it has not been set.
    ///
    /// ```
    /// # use asyncio_core::ContextVar;
    /// static LANGUAGE: ContextVar<&str> = ContextVar::with_default("language", "en");
    /// assert_eq!(LANGUAGE.get(), Some("en"));
    /// ```
    #[must_use]
    pub const fn with_default(name: &'static str, default: T) -> Self {
        Self {
            name,
            id: AtomicUsize::new(0),
            default: Some(default),
        }
    }

    /// The name given to the variable; for people, it need not be unique.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value in the current context, else the default, else `None`.
    #[must_use]
    pub fn get(&self) -> Option<T> {
        current::with_context(|values| self.find(values))
            .flatten()
            .or_else(|| self.default.clone())
    }

    /// Sets the value in the current context and returns what undoes it.
    ///
    /// ```
    /// # use asyncio_core::{Context, ContextVar, Exception};
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert!(USER.set("ada").is_err(), "there is no context here");
    /// Context::new().run(|| {
    ///     let token = USER.set("ada")?;
    ///     assert_eq!((USER.get(), token.old_value()), (Some("ada"), None));
    ///     Ok::<(), Exception>(())
    /// })??;
    /// # Ok::<(), Exception>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] where there is no current context: outside of a task, a callback and
    /// [`Context::run`].
    ///
    /// # asyncio
    ///
    /// In Python every thread has a base context, so that `set` always works; here nothing is kept
    /// for a thread that runs no loop.
    pub fn set(&self, value: T) -> Result<Token<T>, RuntimeError> {
        let id = self.id();
        let context = current::context().ok_or_else(|| {
            RuntimeError::new(format!(
                "context variable {:?} was set outside of any context",
                self.name
            ))
        })?;
        let old = context.replace(id, Some(Arc::new(value)));
        let old = old.and_then(|old| old.downcast_ref::<T>().cloned());
        Ok(Token { id, old, context })
    }

    /// Puts the value back that was there before the `set` that returned the token.
    ///
    /// ```
    /// # use asyncio_core::{Context, ContextVar, Exception};
    /// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", 0);
    ///
    /// Context::new().run(|| {
    ///     let token = DEPTH.set(1)?;
    ///     DEPTH.reset(token)?;
    ///     assert_eq!(DEPTH.get(), Some(0));
    ///     Ok::<(), Exception>(())
    /// })??;
    /// # Ok::<(), Exception>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when the token is another variable's, and when it was made in another context than
    /// the current one, such as in a callback or in another task.
    pub fn reset(&self, token: Token<T>) -> Result<(), ValueError> {
        let id = self.id();
        if token.id != id {
            return Err(ValueError::new(
                "the token was created by a different ContextVar",
            ));
        }
        let context = current::context().filter(|context| context.same_as(&token.context));
        let Some(context) = context else {
            return Err(ValueError::new(
                "the token was created in a different Context",
            ));
        };
        let value = token.old.map(|value| -> Value { Arc::new(value) });
        drop(context.replace(id, value));
        Ok(())
    }

    fn find(&self, values: &Values) -> Option<T> {
        values
            .get(self.id())
            .and_then(|value| value.downcast_ref::<T>())
            .cloned()
    }

    fn id(&self) -> usize {
        // Relaxed throughout: the number itself is all that is exchanged, nothing is published by it.
        let id = self.id.load(Ordering::Relaxed);
        if id != 0 {
            return id;
        }
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
        match self
            .id
            .compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed)
        {
            Ok(_) => fresh,
            Err(first) => first,
        }
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What [`ContextVar::set`] returns and [`ContextVar::reset`] takes, in the same context.
#[must_use = "a token is only good for `reset`; drop it with `let _ =` when it is not wanted"]
pub struct Token<T> {
    id: usize,
    old: Option<T>,
    context: Context,
}

impl<T> Token<T> {
    /// The value that the `set` replaced (`Token.old_value`), or `None` where there was none.
    pub const fn old_value(&self) -> Option<&T> {
        self.old.as_ref()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// A set of values for context variables, shared by all that hold it.
///
/// ```
/// use asyncio_core::{Context, ContextVar};
///
/// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", 0);
///
/// let context = Context::new();
/// context.run(|| DEPTH.set(3).map(drop)).expect("entered once").expect("inside a context");
/// assert_eq!(context.get(&DEPTH), Some(3));
/// assert_eq!(DEPTH.get(), Some(0));
/// ```
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    /// Whether there were ever values, so that who finds none need not lock to see.
    had_values: AtomicBool,
    state: Mutex<State>,
}

struct State {
    values: Values,
    entered: bool,
}

impl Context {
    /// A context in which no variable is set.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Values::default())
    }

    /// A context of its own with the same values (`Context.copy`).
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::of(self.values())
    }

    /// The variable's value here; the default where it has not been set.
    #[must_use]
    pub fn get<T: Clone + Send + Sync + 'static>(&self, variable: &ContextVar<T>) -> Option<T> {
        variable
            .find(&self.values())
            .or_else(|| variable.default.clone())
    }

    /// How many variables have been set here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values().len()
    }

    /// Whether no variable has been set here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Runs a function with this as the current context.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the context is already current somewhere, here or on another thread.
    ///
    /// ```
    /// # use asyncio_core::Context;
    /// let context = Context::new();
    /// let within = context.clone();
    /// assert!(context.run(|| within.run(|| ())).is_ok_and(|within| within.is_err()));
    /// ```
    pub fn run<R>(&self, function: impl FnOnce() -> R) -> Result<R, RuntimeError> {
        let entered = self.enter()?;
        // That of a callback cannot be seen any more once another one is current.
        let outer = current::shared_context();
        let left = outer.as_ref().and_then(Self::mark);
        let result = current::in_context(Slot::shared(self.clone()), function);
        drop((left, entered));
        Ok(result)
    }

    /// Whether two handles are the same context.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    fn of(values: Values) -> Self {
        Self {
            shared: Arc::new(Shared {
                had_values: AtomicBool::new(values.0.is_some()),
                state: Mutex::new(State {
                    values,
                    entered: false,
                }),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = &self.shared.state;
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn values(&self) -> Values {
        // Relaxed: who sees the flag locks; and who learned of a value that was set has learned of the
        // flag as well, because that came before it on the same thread.
        if !self.shared.had_values.load(Ordering::Relaxed) {
            return Values::default();
        }
        self.lock().values.clone()
    }

    /// Sets a variable's value, or removes it; what was there comes back, to be dropped by the caller,
    /// because that may call anything.
    fn replace(&self, id: usize, value: Option<Value>) -> Option<Value> {
        let mut state = self.lock();
        match value {
            Some(value) => {
                // Relaxed: see `values`.
                self.shared.had_values.store(true, Ordering::Relaxed);
                state.values.insert(id, value)
            }
            None => state.values.remove(id),
        }
    }

    fn enter(&self) -> Result<Entered<'_>, RuntimeError> {
        let entered = if current::is_entered(self) {
            None
        } else {
            self.mark()
        };
        entered.ok_or_else(|| RuntimeError::new("cannot enter context: it is already entered"))
    }

    /// Says that the context is entered, unless that is said already.
    fn mark(&self) -> Option<Entered<'_>> {
        let was_entered = std::mem::replace(&mut self.lock().entered, true);
        (!was_entered).then_some(Entered(self))
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("len", &self.len()).finish()
    }
}

/// A copy of the current context (`contextvars.copy_context`); an empty one outside of any.
///
/// ```
/// # use asyncio_core::{Context, ContextVar, Exception, copy_context};
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let copy = Context::new().run(|| USER.set("ada").map(|_token| copy_context()))??;
/// assert_eq!(copy.get(&USER), Some("ada"));
/// # Ok::<(), Exception>(())
/// ```
#[must_use]
pub fn copy_context() -> Context {
    Context::of(current::values())
}

/// Leaves the context again, also when the function panics.
struct Entered<'a>(&'a Context);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.lock().entered = false;
    }
}

/// An immutable map from variables to values: copying it copies a pointer, and an empty one owns
/// nothing, so that programs without context variables pay nothing for them.
#[derive(Clone, Default)]
pub(crate) struct Values(Option<Arc<Node>>);

type Value = Arc<dyn Any + Send + Sync>;

/// What the pointers of [`Values`] and [`Slot`] lead to.
#[derive(Clone)]
enum Node {
    /// By increasing variable.
    Entries(Vec<(usize, Value)>),
    /// For a slot only.
    Shared(Context),
}

impl Default for Node {
    fn default() -> Self {
        Self::Entries(Vec::new())
    }
}

impl Values {
    fn entries(&self) -> &[(usize, Value)] {
        match self.0.as_deref() {
            Some(Node::Entries(entries)) => entries,
            Some(Node::Shared(_)) | None => &[],
        }
    }

    fn entries_mut(&mut self) -> Option<&mut Vec<(usize, Value)>> {
        match Arc::make_mut(self.0.get_or_insert_default()) {
            Node::Entries(entries) => Some(entries),
            Node::Shared(_) => None,
        }
    }

    fn len(&self) -> usize {
        self.entries().len()
    }

    fn find(&self, id: usize) -> Result<usize, usize> {
        self.entries().binary_search_by_key(&id, |(key, _)| *key)
    }

    fn get(&self, id: usize) -> Option<&Value> {
        Some(&self.entries()[self.find(id).ok()?].1)
    }

    fn insert(&mut self, id: usize, value: Value) -> Option<Value> {
        let place = self.find(id);
        let entries = self.entries_mut()?;
        match place {
            Ok(at) => Some(std::mem::replace(&mut entries[at].1, value)),
            Err(at) => {
                entries.insert(at, (id, value));
                None
            }
        }
    }

    fn remove(&mut self, id: usize) -> Option<Value> {
        let at = self.find(id).ok()?;
        Some(self.entries_mut()?.remove(at).1)
    }
}

/// The context that a task or a callback runs in, a pointer wide.
///
/// Most contexts belong to one task alone; a `Context` object is made of one only when somebody
/// asks for it, or when a variable is set there, whose token has to know the context again.
#[derive(Default)]
pub(crate) struct Slot(Option<Arc<Node>>);

impl Slot {
    /// A context of its own.
    #[inline]
    pub(crate) fn own(values: Values) -> Self {
        Self(values.0)
    }

    /// A context that others have too.
    pub(crate) fn shared(context: Context) -> Self {
        Self(Some(Arc::new(Node::Shared(context))))
    }

    #[inline]
    pub(crate) fn values(&self) -> Values {
        match &self.0 {
            None => Values(None),
            Some(node) => match &**node {
                Node::Entries(_) => Values(Some(Arc::clone(node))),
                Node::Shared(context) => context.values(),
            },
        }
    }

    /// The context, where others have it too.
    pub(crate) fn context(&self) -> Option<&Context> {
        match self.0.as_deref() {
            Some(Node::Shared(context)) => Some(context),
            Some(Node::Entries(_)) | None => None,
        }
    }

    /// The context as an object; from then on it is shared with whoever holds it.
    pub(crate) fn share(&mut self) -> Context {
        if let Some(context) = self.context() {
            return context.clone();
        }
        let context = Context::of(Values(self.0.take()));
        *self = Self::shared(context.clone());
        context
    }
}
