//! A tree of exceptions (`BaseExceptionGroup`, PEP 654).

use std::error::Error;
use std::fmt;
use std::sync::Arc;

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
    message: String,
    exceptions: Vec<Exception>,
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
        Ok(Self::of(message.into(), exceptions))
    }

    /// What the group is about.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The members, in the order in which they were given.
    #[must_use]
    pub fn exceptions(&self) -> &[Exception] {
        &self.inner.exceptions
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
        Self::new(self.inner.message.clone(), exceptions)
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
        let mut levels = vec![Level::of(self)];
        loop {
            let Some(level) = levels.last_mut() else {
                return (None, None);
            };
            let members = &level.group.inner.exceptions;
            if let Some(member) = members.get(level.next) {
                level.next += 1;
                if matches(member) {
                    level.matched.push(member.clone());
                } else if let Some(group) = member.as_group() {
                    let below = Level::of(group);
                    levels.push(below);
                } else {
                    level.rest.push(member.clone());
                }
                continue;
            }
            let Some(level) = levels.pop() else {
                return (None, None);
            };
            let (matched, rest) = level.finish();
            match levels.last_mut() {
                None => return (matched, rest),
                Some(above) => {
                    above.matched.extend(matched.map(Exception::from));
                    above.rest.extend(rest.map(Exception::from));
                }
            }
        }
    }

    fn of(message: String, exceptions: Vec<Exception>) -> Self {
        Self {
            inner: Arc::new(Inner {
                message,
                exceptions,
            }),
        }
    }
}

impl fmt::Display for ExceptionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.inner.exceptions.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{} ({count} sub-exception{plural})", self.inner.message)
    }
}

impl fmt::Debug for ExceptionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExceptionGroup: {self}")?;
        // Depth first without recursion: what is still to be shown, nearest last.
        let mut pending: Vec<(usize, Exception)> = self
            .inner
            .exceptions
            .iter()
            .rev()
            .map(|member| (1, member.clone()))
            .collect();
        while let Some((depth, member)) = pending.pop() {
            // A tree deeper than anyone reads is cut, so that showing it stays linear.
            if depth > MAX_SHOWN_DEPTH {
                write!(f, "\n… deeper than {MAX_SHOWN_DEPTH} levels")?;
                continue;
            }
            write!(f, "\n{:indent$}- ", "", indent = depth * 2)?;
            match member.as_group() {
                None => write!(f, "{member:?}")?,
                Some(group) => {
                    write!(f, "ExceptionGroup: {group}")?;
                    let members = group.inner.exceptions.iter().rev();
                    pending.extend(members.map(|member| (depth + 1, member.clone())));
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
        let mut pending = std::mem::take(&mut self.exceptions);
        while let Some(exception) = pending.pop() {
            if let Some(group) = exception.into_unshared_group()
                && let Some(mut inner) = Arc::into_inner(group.inner)
            {
                pending.append(&mut inner.exceptions);
            }
        }
    }
}

const MAX_SHOWN_DEPTH: usize = 64;

/// A group being split: its members up to `next` are sorted into the two parts.
struct Level {
    group: ExceptionGroup,
    next: usize,
    matched: Vec<Exception>,
    rest: Vec<Exception>,
}

impl Level {
    fn of(group: &ExceptionGroup) -> Self {
        Self {
            group: group.clone(),
            next: 0,
            matched: Vec::new(),
            rest: Vec::new(),
        }
    }

    fn finish(self) -> (Option<ExceptionGroup>, Option<ExceptionGroup>) {
        let part = |members: Vec<Exception>| {
            (!members.is_empty())
                .then(|| ExceptionGroup::of(self.group.inner.message.clone(), members))
        };
        (part(self.matched), part(self.rest))
    }
}
