//! The dynamic [`Exception`] and the small exact errors of asyncio (`asyncio/exceptions.py`).

use std::any::{Any, TypeId};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use crate::exception_group::ExceptionGroup;

/// The result of a coroutine: a value, or the [`Exception`] that ended it.
///
/// ```
/// use asyncio_core::Result;
///
/// async fn parse(text: &str) -> Result<u32> {
///     Ok(text.parse()?) // any error becomes an `Exception`
/// }
/// # fn main() -> Result<()> {
/// # assert_eq!(asyncio_core::run(parse("7"))?, 7);
/// # assert!(asyncio_core::run(parse("x")).is_err());
/// # Ok(())
/// # }
/// ```
pub type Result<T, E = Exception> = std::result::Result<T, E>;

/// Any error at all, cheap to clone: what a task ends with when it does not end with a value.
///
/// It is to this workspace what `BaseException` is to Python: every [`std::error::Error`] becomes
/// one through `?`, and the original is found again with [`downcast_ref`](Self::downcast_ref).
/// Being cancelled is an inline variant, so that a cancelled task allocates nothing.
///
/// ```
/// use asyncio_core::{CancelledError, Exception, ValueError};
///
/// let exception = Exception::from(ValueError::new("no such colour"));
/// assert!(exception.is::<ValueError>());
/// assert_eq!(exception.to_string(), "no such colour");
/// assert!(Exception::from(CancelledError::new()).is_cancelled());
/// ```
///
/// # asyncio
///
/// `CancelledError` is no `Exception` in Python but a `BaseException`; here it is one kind of this
/// type, and code that means "any error but cancellation" asks [`is_cancelled`](Self::is_cancelled).
#[derive(Clone)]
pub struct Exception(Repr);

#[derive(Clone)]
enum Repr {
    Cancelled(CancelledError),
    Other(Arc<Inner>),
}

struct Inner {
    payload: Payload,
    notes: Mutex<Vec<String>>,
}

enum Payload {
    Error(Box<dyn Error + Send + Sync>),
    Group(ExceptionGroup),
    Panic(PanicError),
}

impl Exception {
    /// Makes an exception of an error; the same as `Exception::from`.
    ///
    /// ```
    /// # use asyncio_core::{Exception, RuntimeError};
    /// assert!(Exception::new(RuntimeError::new("no")).is::<RuntimeError>());
    /// ```
    pub fn new<E: Error + Send + Sync + 'static>(error: E) -> Self {
        Self::from(error)
    }

    /// Makes an exception of an error that is already boxed.
    ///
    /// ```
    /// # use asyncio_core::Exception;
    /// let boxed: Box<dyn std::error::Error + Send + Sync> = "a message".into();
    /// assert_eq!(Exception::from_boxed(boxed).to_string(), "a message");
    /// ```
    #[must_use]
    pub fn from_boxed(error: Box<dyn Error + Send + Sync>) -> Self {
        let error = match error.downcast::<CancelledError>() {
            Ok(cancelled) => return Self(Repr::Cancelled(*cancelled)),
            Err(error) => error,
        };
        match error.downcast::<ExceptionGroup>() {
            Ok(group) => Self::other(Payload::Group(*group)),
            Err(error) => match error.downcast::<ExceptionError>() {
                Ok(wrapped) => wrapped.0,
                Err(error) => Self::other(Payload::Error(error)),
            },
        }
    }

    /// Makes an exception of what a panic left behind.
    pub(crate) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        Self::other(Payload::Panic(PanicError::new(payload)))
    }

    /// Whether the error is an `E`.
    ///
    /// ```
    /// # use asyncio_core::{CancelledError, Exception, ValueError};
    /// assert!(!Exception::from(CancelledError::new()).is::<ValueError>());
    /// ```
    #[must_use]
    pub fn is<E: Error + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// The error as an `E`, where it is one.
    ///
    /// ```
    /// # use asyncio_core::{CancelledError, Exception};
    /// let exception = Exception::from(CancelledError::with_message("stop"));
    /// let cancelled = exception.downcast_ref::<CancelledError>().expect("it is one");
    /// assert_eq!(cancelled.message(), Some("stop"));
    /// ```
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.as_error().downcast_ref::<E>()
    }

    /// Whether this is a [`CancelledError`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0, Repr::Cancelled(_))
    }

    /// Whether this is a panic that was caught at a task's boundary.
    ///
    /// ```
    /// # use asyncio_core::{Result, create_task, run};
    /// # fn main() -> Result<()> {
    /// # run(async {
    /// let task = create_task::<(), _>(async { panic!("out of cheese") });
    /// let error = task.await.expect_err("the task panicked, the program goes on");
    /// assert!(error.is_panic());
    /// assert_eq!(error.to_string(), "task panicked: out of cheese");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(&self.0, Repr::Other(inner) if matches!(inner.payload, Payload::Panic(_)))
    }

    /// The group, where this is an [`ExceptionGroup`].
    ///
    /// ```
    /// # use asyncio_core::{Exception, ExceptionGroup, ValueError};
    /// # fn main() -> Result<(), ValueError> {
    /// let group = ExceptionGroup::new("one went wrong", vec![ValueError::new("odd").into()])?;
    /// let exception = Exception::from(group);
    /// assert_eq!(exception.as_group().map(|group| group.exceptions().len()), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn as_group(&self) -> Option<&ExceptionGroup> {
        match &self.0 {
            Repr::Other(inner) => match &inner.payload {
                Payload::Group(group) => Some(group),
                Payload::Error(_) | Payload::Panic(_) => None,
            },
            Repr::Cancelled(_) => None,
        }
    }

    /// The error within, as the standard library's trait.
    ///
    /// ```
    /// # use asyncio_core::{Exception, ValueError};
    /// let exception = Exception::from(ValueError::new("odd"));
    /// assert!(exception.as_error().source().is_none());
    /// ```
    #[must_use]
    pub fn as_error(&self) -> &(dyn Error + 'static) {
        match &self.0 {
            Repr::Cancelled(error) => error,
            Repr::Other(inner) => match &inner.payload {
                Payload::Error(error) => &**error,
                Payload::Group(group) => group,
                Payload::Panic(panic) => panic,
            },
        }
    }

    /// Adds a line to what [`Debug`](fmt::Debug) prints below the error (`BaseException.add_note`).
    ///
    /// # asyncio
    ///
    /// A cancellation carries no notes: it is a value, shared with nobody. The note is dropped.
    pub fn add_note(&self, note: impl Into<String>) {
        if let Some(group) = self.as_group() {
            group.add_note(note);
        } else if let Repr::Other(inner) = &self.0 {
            let mut notes = inner.notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.push(note.into());
        }
    }

    /// The notes added so far, oldest first.
    ///
    /// ```
    /// # use asyncio_core::{Exception, ValueError};
    /// let exception = Exception::from(ValueError::new("odd"));
    /// exception.add_note("while reading line 7");
    /// assert_eq!(exception.notes(), ["while reading line 7"]);
    /// ```
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        if let Some(group) = self.as_group() {
            return group.notes();
        }
        match &self.0 {
            Repr::Cancelled(_) => Vec::new(),
            Repr::Other(inner) => inner
                .notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Whether two exceptions are the same object, as Python's `is` tells.
    ///
    /// # asyncio
    ///
    /// Two cancellations are never the same object.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        matches!((&self.0, &other.0), (Repr::Other(a), Repr::Other(b)) if Arc::ptr_eq(a, b))
    }

    /// Whether this exception leaves the loop instead of staying in its task
    /// (`KeyboardInterrupt`, `SystemExit`).
    pub(crate) fn escapes_the_loop(&self) -> bool {
        self.is::<KeyboardInterrupt>() || self.is::<SystemExit>()
    }

    /// The cancellation itself, where this is one; anything else is handed back.
    pub(crate) fn into_cancelled(self) -> Result<CancelledError, Self> {
        match self.0 {
            Repr::Cancelled(error) => Ok(error),
            other @ Repr::Other(_) => Err(Self(other)),
        }
    }

    /// Takes a group out when nobody else holds this exception, so that a deep tree can be taken
    /// apart without recursion.
    pub(crate) fn into_unshared_group(self) -> Option<ExceptionGroup> {
        match self.0 {
            Repr::Cancelled(_) => None,
            Repr::Other(inner) => match Arc::into_inner(inner)?.payload {
                Payload::Group(group) => Some(group),
                Payload::Error(_) | Payload::Panic(_) => None,
            },
        }
    }

    fn other(payload: Payload) -> Self {
        Self(Repr::Other(Arc::new(Inner {
            payload,
            notes: Mutex::new(Vec::new()),
        })))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Exception {
    fn from(error: E) -> Self {
        // The three kinds that are stored as what they are; the comparison is settled when compiled.
        let id = TypeId::of::<E>();
        if id == TypeId::of::<CancelledError>()
            || id == TypeId::of::<ExceptionGroup>()
            || id == TypeId::of::<ExceptionError>()
        {
            let mut error = Some(error);
            let any: &mut dyn Any = &mut error;
            if let Some(cancelled) = any.downcast_mut::<Option<CancelledError>>() {
                return Self(Repr::Cancelled(cancelled.take().unwrap_or_default()));
            }
            if let Some(group) = any
                .downcast_mut::<Option<ExceptionGroup>>()
                .and_then(Option::take)
            {
                return Self::other(Payload::Group(group));
            }
            if let Some(wrapped) = any
                .downcast_mut::<Option<ExceptionError>>()
                .and_then(Option::take)
            {
                return wrapped.0;
            }
            unreachable!("one of the three types matched");
        }
        Self::other(Payload::Error(Box::new(error)))
    }
}

impl From<Exception> for Box<dyn Error + Send + Sync> {
    fn from(exception: Exception) -> Self {
        Box::new(ExceptionError(exception))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_error(), f)
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_error(), f)?;
        if self.as_group().is_some() {
            // It shows its notes itself.
            return Ok(());
        }
        for note in self.notes() {
            write!(f, "\n{note}")?;
        }
        Ok(())
    }
}

/// An [`Exception`] where the rest of Rust wants a `Box<dyn Error>`.
struct ExceptionError(Exception);

impl fmt::Display for ExceptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ExceptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for ExceptionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_error().source()
    }
}

/// The message that a cancellation carries, shared between the request and its deliveries.
pub(crate) type Message = Option<Arc<String>>;

/// The task or future was cancelled (`asyncio.CancelledError`).
///
/// ```
/// use asyncio_core::CancelledError;
///
/// assert_eq!(CancelledError::new().to_string(), "cancelled");
/// assert_eq!(CancelledError::with_message("shutting down").to_string(), "cancelled: shutting down");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CancelledError {
    message: Message,
}

impl CancelledError {
    /// A cancellation without a message.
    #[must_use]
    pub const fn new() -> Self {
        Self { message: None }
    }

    /// A cancellation with the message given to `cancel`.
    #[must_use]
    pub fn with_message(message: impl Into<String>) -> Self {
        Self {
            message: Some(Arc::new(message.into())),
        }
    }

    /// The message of the `cancel` that caused this, if it had one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|message| message.as_str())
    }

    pub(crate) const fn from_message(message: Message) -> Self {
        Self { message }
    }

    pub(crate) fn into_message(self) -> Message {
        self.message
    }
}

impl fmt::Display for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => f.write_str("cancelled"),
            Some(message) => write!(f, "cancelled: {message}"),
        }
    }
}

impl fmt::Debug for CancelledError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            None => f.write_str("CancelledError()"),
            Some(message) => write!(f, "CancelledError({message:?})"),
        }
    }
}

impl Error for CancelledError {}

/// A panic that was caught at a task's boundary and is now the task's exception.
#[derive(Debug)]
pub struct PanicError {
    message: String,
}

impl PanicError {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = match payload.downcast::<String>() {
            Ok(message) => *message,
            Err(payload) => {
                let message = payload.downcast_ref::<&'static str>().copied();
                // Dropping the payload may panic again, with a payload that must not be dropped.
                if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    std::mem::forget(again);
                }
                message.unwrap_or("a panic without a message").to_owned()
            }
        };
        Self { message }
    }

    /// What the panic said.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for PanicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task panicked: {}", self.message)
    }
}

impl Error for PanicError {}

macro_rules! message_errors {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name {
            message: std::borrow::Cow<'static, str>,
        }

        impl $name {
            /// An error with this message.
            #[must_use]
            pub fn new(message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
                Self { message: message.into() }
            }

            /// What went wrong, in one line.
            #[must_use]
            pub fn message(&self) -> &str {
                &self.message
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.message)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.message)
            }
        }

        impl Error for $name {}
    )*};
}

message_errors! {
    /// The operation does not fit the state of a future or task (`asyncio.InvalidStateError`).
    InvalidStateError;
    /// A deadline passed (`asyncio.TimeoutError`, the built-in `TimeoutError`).
    TimeoutError;
    /// A call at the wrong time or place: no running loop, a closed loop, a task awaiting itself
    /// (Python's `RuntimeError`).
    RuntimeError;
    /// An argument without meaning, such as a delay that is not a number (Python's `ValueError`).
    ValueError;
}

/// Ctrl-C was pressed and nothing handled it: it leaves the task and the loop at once.
///
/// ```
/// # use asyncio_core::{KeyboardInterrupt, Result, run};
/// # fn program() -> Result<()> { run(async { Ok(()) }) }
/// match program() {
///     Err(error) if error.is::<KeyboardInterrupt>() => eprintln!("interrupted"),
///     Err(error) => eprintln!("{error}"),
///     Ok(()) => {}
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyboardInterrupt;

impl KeyboardInterrupt {
    /// The interrupt.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for KeyboardInterrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for KeyboardInterrupt {}

/// The program asks to end with an exit code: it leaves the task and the loop at once.
///
/// ```
/// # use asyncio_core::{Result, SystemExit, run, sleep};
/// let left: Result<()> = run(async {
///     asyncio_core::create_task::<(), _>(async { Err(SystemExit::new(3).into()) });
///     sleep(3600).await
/// });
/// let error = left.expect_err("the exit has left the loop");
/// assert_eq!(error.downcast_ref::<SystemExit>().map(SystemExit::code), Some(3));
/// ```
///
/// # asyncio
///
/// The process does not end by itself: `main` decides what to do with the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemExit {
    code: i32,
}

impl SystemExit {
    /// An exit with this code.
    #[must_use]
    pub const fn new(code: i32) -> Self {
        Self { code }
    }

    /// The exit code.
    #[must_use]
    pub const fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for SystemExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit with code {}", self.code)
    }
}

impl Error for SystemExit {}
