//! A tree of exceptions (`BaseExceptionGroup`, PEP 654).

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exceptions::{Exception, ValueError};

/// Several exceptions raised together, possibly nested.
///
/// ```
/// use asyncio_core::{Exception, ExceptionGroup, RuntimeError, ValueError};
///
/// # fn main() -> Result<(), ValueError> {
/// let group = ExceptionGroup::new(
///     "two went wrong",
///     vec![ValueError::new("a").into(), RuntimeError::new("b").into()],
/// )?;
/// let (values, rest) = group.split::<ValueError>();
/// assert_eq!(values.expect("one matches").exceptions().len(), 1);
/// assert!(rest.expect("one is left").exceptions()[0].is::<RuntimeError>());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ExceptionGroup {
    inner: Arc<Inner>,
}

struct Inner {
    /// Shared by all groups that were split from one, which tells them apart from others.
    message: Arc<str>,
    members: Members,
    notes: Mutex<Vec<String>>,
}

/// The members of a group, with the task each of them left, where that is known.
#[derive(Default)]
struct Members {
    exceptions: Vec<Exception>,
    /// Empty, or one for each of the exceptions.
    origins: Vec<Option<Origin>>,
}

/// The task that an exception left.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) spawned_at: &'static Location<'static>,
}

impl ExceptionGroup {
    /// A group of these exceptions, in this order.
    ///
    /// ```
    /// # use asyncio_core::ExceptionGroup;
    /// assert!(ExceptionGroup::new("nothing went wrong", vec![]).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is no exception to group.
    pub fn new(message: impl Into<String>, exceptions: Vec<Exception>) -> Result<Self, ValueError> {
        if exceptions.is_empty() {
            return Err(ValueError::new(
                "an exception group needs at least one exception",
            ));
        }
        let members = Members {
            exceptions,
            origins: Vec::new(),
        };
        Ok(Self::of(message.into().into(), members, Vec::new()))
    }

    /// A group of what some tasks ended with; `None` without any.
    pub(crate) fn of_tasks(
        message: &str,
        exceptions: Vec<(Exception, Option<Origin>)>,
    ) -> Option<Self> {
        let mut members = Members::default();
        for (exception, origin) in exceptions {
            members.push(exception, origin);
        }
        (!members.exceptions.is_empty()).then(|| Self::of(message.into(), members, Vec::new()))
    }

    /// What the group is about.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The members, in the order in which they were given.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.inner.members.exceptions
    }

    /// A group with the same message and other members (`BaseExceptionGroup.derive`).
    ///
    /// ```
    /// # use asyncio_core::{ExceptionGroup, ValueError};
    /// # fn main() -> Result<(), ValueError> {
    /// let group = ExceptionGroup::new("three went wrong", vec![ValueError::new("a").into()])?;
    /// assert_eq!(group.derive(vec![ValueError::new("b").into()])?.message(), "three went wrong");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ValueError`] when there is no exception to group.
    pub fn derive(&self, exceptions: Vec<Exception>) -> Result<Self, ValueError> {
        Self::new(self.message(), exceptions)
    }

    /// Adds a line to what [`Debug`](fmt::Debug) prints below the group
    /// (`BaseExceptionGroup.add_note`); what is split from it gets a copy.
    ///
    /// ```
    /// # use asyncio_core::{ExceptionGroup, ValueError};
    /// # fn main() -> Result<(), ValueError> {
    /// let group = ExceptionGroup::new("one went wrong", vec![ValueError::new("odd").into()])?;
    /// group.add_note("while starting");
    /// let part = group.subgroup::<ValueError>().expect("one matches");
    /// assert_eq!(part.notes(), ["while starting"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn add_note(&self, note: impl Into<String>) {
        let mut notes = self
            .inner
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        notes.push(note.into());
    }

    /// The notes added so far, oldest first.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let notes = self.inner.notes.lock();
        notes.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether two groups are the same, or were split from the same one at the same level.
    pub(crate) fn is_kin_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner.message, &other.inner.message)
    }

    /// The part whose members are an `E`, nesting kept.
    #[must_use]
    pub fn subgroup<E: Error + 'static>(&self) -> Option<Self> {
        self.split::<E>().0
    }

    /// The part that matches the condition, nesting kept.
    ///
    /// ```
    /// # use asyncio_core::{CancelledError, ExceptionGroup, ValueError};
    /// # fn main() -> Result<(), ValueError> {
    /// let group = ExceptionGroup::new(
    ///     "two ended",
    ///     vec![CancelledError::new().into(), ValueError::new("odd").into()],
    /// )?;
    /// let failed = group.subgroup_by(|exception| exception.is::<ValueError>());
    /// assert_eq!(failed.map(|group| group.exceptions().len()), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subgroup_by(&self, matches: impl Fn(&Exception) -> bool) -> Option<Self> {
        self.split_by(matches).0
    }

    /// The parts whose members are an `E` and are not.
    #[must_use]
    pub fn split<E: Error + 'static>(&self) -> (Option<Self>, Option<Self>) {
        self.split_by(|exception| exception.is::<E>())
    }

    /// The parts that match the condition and do not (`BaseExceptionGroup.split`).
    ///
    /// The condition is asked about the group itself first, then about its members, depth first;
    /// a group that matches is taken whole. Order and nesting are kept, empty branches dropped.
    #[must_use]
    pub fn split_by(&self, matches: impl Fn(&Exception) -> bool) -> (Option<Self>, Option<Self>) {
        if matches(&Exception::from(self.clone())) {
            return (Some(self.clone()), None);
        }
        // One level of the tree being split; the deepest is last. A stack of our own, because a
        // tree may be nested deeper than a thread's stack can recurse.
        let mut levels = vec![Level::of(self, None)];
        loop {
            let Some(level) = levels.last_mut() else {
                return (None, None);
            };
            if let Some((member, origin)) = level.group.inner.members.get(level.next) {
                level.next += 1;
                if matches(&member) {
                    level.matched.push(member, origin);
                } else if let Some(group) = member.as_group() {
                    let below = Level::of(group, origin);
                    levels.push(below);
                } else {
                    level.rest.push(member, origin);
                }
                continue;
            }
            let Some(level) = levels.pop() else {
                return (None, None);
            };
            let origin = level.origin.clone();
            let (matched, rest) = level.finish();
            let Some(above) = levels.last_mut() else {
                return (matched, rest);
            };
            if let Some(matched) = matched {
                above.matched.push(matched.into(), origin.clone());
            }
            if let Some(rest) = rest {
                above.rest.push(rest.into(), origin);
            }
        }
    }

    fn of(message: Arc<str>, members: Members, notes: Vec<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                message,
                members,
                notes: Mutex::new(notes),
            }),
        }
    }

    fn show_notes(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        for note in self.notes() {
            write!(f, "\n{:indent$}{note}", "")?;
        }
        Ok(())
    }
}

impl Members {
    fn push(&mut self, exception: Exception, origin: Option<Origin>) {
        if origin.is_some() && self.origins.is_empty() {
            self.origins.resize(self.exceptions.len(), None);
        }
        self.exceptions.push(exception);
        if origin.is_some() || !self.origins.is_empty() {
            self.origins.push(origin);
        }
    }

    fn get(&self, at: usize) -> Option<(Exception, Option<Origin>)> {
        let exception = self.exceptions.get(at)?.clone();
        Some((exception, self.origins.get(at).cloned().flatten()))
    }

    fn iter(&self) -> impl DoubleEndedIterator<Item = (Exception, Option<Origin>)> {
        (0..self.exceptions.len()).filter_map(|at| self.get(at))
    }
}

impl fmt::Display for ExceptionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.inner.members.exceptions.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{} ({count} sub-exception{plural})", self.inner.message)
    }
}

impl fmt::Debug for ExceptionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExceptionGroup: {self}")?;
        self.show_notes(f, 2)?;
        // Depth first without recursion: what is still to be shown, nearest last.
        let mut pending: Vec<(usize, Exception, Option<Origin>)> = Vec::new();
        let members = |group: &Self, depth: usize| {
            let members = group.inner.members.iter().rev();
            members
                .map(|(member, origin)| (depth, member, origin))
                .collect::<Vec<_>>()
        };
        pending.extend(members(self, 1));
        while let Some((depth, member, origin)) = pending.pop() {
            // A tree deeper than anyone reads is cut, so that showing it stays linear.
            if depth > MAX_SHOWN_DEPTH {
                write!(f, "\n… deeper than {MAX_SHOWN_DEPTH} levels")?;
                continue;
            }
            write!(f, "\n{:indent$}- ", "", indent = depth * 2)?;
            if let Some(Origin { name, spawned_at }) = origin {
                write!(f, "task {name:?} spawned at {spawned_at}: ")?;
            }
            match member.as_group() {
                None => write!(f, "{member:?}")?,
                Some(group) => {
                    write!(f, "ExceptionGroup: {group}")?;
                    group.show_notes(f, depth * 2 + 2)?;
                    pending.extend(members(group, depth + 1));
                }
            }
        }
        Ok(())
    }
}

impl Error for ExceptionGroup {}

impl Drop for Inner {
    fn drop(&mut self) {
        // Groups nested in groups are taken apart here, level by level, because the drop that the
        // compiler writes would recurse once a level.
        let mut pending = std::mem::take(&mut self.members.exceptions);
        while let Some(exception) = pending.pop() {
            if let Some(group) = exception.into_unshared_group()
                && let Some(mut inner) = Arc::into_inner(group.inner)
            {
                pending.append(&mut inner.members.exceptions);
            }
        }
    }
}

const MAX_SHOWN_DEPTH: usize = 64;

/// A group being split: its members up to `next` are sorted into the two parts.
struct Level {
    group: ExceptionGroup,
    /// Where the group itself came from.
    origin: Option<Origin>,
    next: usize,
    matched: Members,
    rest: Members,
}

impl Level {
    fn of(group: &ExceptionGroup, origin: Option<Origin>) -> Self {
        Self {
            group: group.clone(),
            origin,
            next: 0,
            matched: Members::default(),
            rest: Members::default(),
        }
    }

    fn finish(self) -> (Option<ExceptionGroup>, Option<ExceptionGroup>) {
        let part = |members: Members| {
            (!members.exceptions.is_empty()).then(|| {
                let message = Arc::clone(&self.group.inner.message);
                ExceptionGroup::of(message, members, self.group.notes())
            })
        };
        (part(self.matched), part(self.rest))
    }
}
