//! `except*`: handling the parts of an exception group one kind after the other (PEP 654).

use std::any::TypeId;
use std::error::Error;

use crate::exception_group::ExceptionGroup;
use crate::exceptions::{Exception, Result, RuntimeError};

/// What [`except_star!`](crate::except_star!) does, one clause at a time: for those who need it by
/// hand.
///
/// ```
/// use asyncio_core::{ExceptStar, Exception, RuntimeError, ValueError};
///
/// let mut star = ExceptStar::new(Exception::from(ValueError::new("odd")));
/// assert!(star.take::<RuntimeError>().is_none());
/// let group = star.take::<ValueError>().expect("it is one");
/// assert_eq!(group.exceptions().len(), 1);
/// assert!(star.finish().is_ok());
/// ```
#[derive(Debug)]
#[must_use = "what is left is raised by `finish`"]
pub struct ExceptStar {
    exception: Exception,
    /// The exception as a group: itself, or a group of it alone.
    whole: ExceptionGroup,
    rest: Option<ExceptionGroup>,
    raised: Vec<Exception>,
    /// Whether some clause has taken something.
    matched: bool,
    misused: bool,
}

impl ExceptStar {
    /// Begins to handle an exception; one that is no group is handled as a group of it alone.
    pub fn new(exception: Exception) -> Self {
        let group = exception.as_group().cloned();
        let alone = || {
            ExceptionGroup::new("", vec![exception.clone()])
                .unwrap_or_else(|_| unreachable!("the group has a member"))
        };
        let whole = group.unwrap_or_else(alone);
        Self {
            exception,
            rest: Some(whole.clone()),
            whole,
            raised: Vec::new(),
            matched: false,
            misused: false,
        }
    }

    /// The part of what is left that is an `E`, which is handled by that.
    pub fn take<E: Error + 'static>(&mut self) -> Option<ExceptionGroup> {
        self.take_any(&[Self::kind::<E>()])
    }

    /// The part of what is left that is of one of these kinds.
    #[doc(hidden)]
    pub fn take_any(&mut self, kinds: &[Kind]) -> Option<ExceptionGroup> {
        self.misused |= kinds.iter().any(|(_, is_group)| *is_group);
        self.take_by(|exception| kinds.iter().any(|(is_it, _)| is_it(exception)))
    }

    /// A kind for `take_any`.
    #[doc(hidden)]
    #[must_use]
    pub fn kind<E: Error + 'static>() -> Kind {
        (
            Exception::is::<E>,
            TypeId::of::<E>() == TypeId::of::<ExceptionGroup>(),
        )
    }

    /// The part of what is left that matches.
    pub fn take_by(&mut self, matches: impl Fn(&Exception) -> bool) -> Option<ExceptionGroup> {
        if self.misused {
            return None;
        }
        let (matched, rest) = self.rest.take()?.split_by(matches);
        self.rest = rest;
        self.matched |= matched.is_some();
        matched
    }

    /// The part of what is left that is an `Exception` in Python: all but cancellations, interrupts and
    /// exits.
    pub fn take_exceptions(&mut self) -> Option<ExceptionGroup> {
        self.take_by(|exception| {
            exception.as_group().is_none()
                && !exception.is_cancelled()
                && !exception.escapes_the_loop()
        })
    }

    /// Notes what handling a part has raised: that part again, or something new.
    pub fn raised(&mut self, exception: Exception) {
        self.raised.push(exception);
    }

    /// Raises what is left, and what the handlers have raised.
    ///
    /// Parts that were raised again go back to their place in the tree, beside what nobody has handled;
    /// what is new becomes their sibling.
    ///
    /// # Errors
    ///
    /// That; [`RuntimeError`] when a clause was for [`ExceptionGroup`], which has no meaning.
    pub fn finish(self) -> Result<()> {
        if self.misused {
            let message =
                "catching ExceptionGroup with except* is not allowed. Use a match instead.";
            return Err(RuntimeError::new(message).into());
        }
        if !self.matched {
            // What nobody has touched is raised as it came.
            return Err(self.exception);
        }
        if self.raised.is_empty() {
            return self.rest.map_or(Ok(()), |rest| Err(rest.into()));
        }
        let is_again = |raised: &Exception| {
            raised
                .as_group()
                .is_some_and(|group| group.is_kin_of(&self.whole))
        };
        let (again, mut new): (Vec<_>, Vec<_>) = self.raised.into_iter().partition(is_again);
        let kept = again
            .iter()
            .filter_map(Exception::as_group)
            .chain(&self.rest);
        new.extend(projection(&self.whole, kept).map(Exception::from));
        if new.len() == 1 {
            return Err(new.remove(0));
        }
        Err(ExceptionGroup::new("", new)?.into())
    }
}

/// Tells whether an exception is of a kind, and whether that is the one that has no meaning here.
type Kind = (fn(&Exception) -> bool, bool);

/// The part of a tree whose leaves are those of its parts.
fn projection<'a>(
    whole: &ExceptionGroup,
    parts: impl Iterator<Item = &'a ExceptionGroup>,
) -> Option<ExceptionGroup> {
    let mut leaves = Vec::new();
    let mut groups: Vec<ExceptionGroup> = parts.cloned().collect();
    while let Some(group) = groups.pop() {
        for member in group.exceptions() {
            match member.as_group() {
                Some(group) => groups.push(group.clone()),
                None => leaves.push(member.clone()),
            }
        }
    }
    // A cancellation is a value and no object: one is taken for each that is kept.
    let leaves = std::cell::RefCell::new(leaves);
    whole.subgroup_by(|exception| {
        if exception.as_group().is_some() {
            return false;
        }
        let mut leaves = leaves.borrow_mut();
        let found = leaves.iter().position(|leaf| {
            leaf.same_as(exception)
                || leaf.is_cancelled()
                    && exception.is_cancelled()
                    && leaf.to_string() == exception.to_string()
        });
        found.map(|at| leaves.swap_remove(at)).is_some()
    })
}

/// Handles an exception group by the kinds of its members, as Python's `except*` does.
///
/// Each clause gets the part of the group that is of its kinds and that no clause before it has
/// taken, as an [`ExceptionGroup`]; each runs once at the most. What no clause takes goes on. An
/// exception that is no group is handled as a group of it alone, and goes on as it is when no clause
/// takes it. `_` takes all but cancellations, interrupts and exits.
///
/// A clause ends with `Ok(())` when its part is dealt with, and with an error to raise: its own group
/// again, which goes back to its place in the tree, or something new. `?` in it raises too. The whole
/// is a `Result<Option<T>>`: the value, or `None` when there was an exception and it is dealt with.
///
/// ```
/// use asyncio_core::{Exception, ExceptionGroup, Result, RuntimeError, ValueError, except_star};
///
/// # fn main() -> Result<()> {
/// let failed: Result<u32> = Err(ExceptionGroup::new(
///     "two went wrong",
///     vec![ValueError::new("a").into(), RuntimeError::new("b").into()],
/// )?
/// .into());
/// let mut seen = 0;
/// let rest = except_star!(failed, {
///     ValueError => |group| {
///         seen += group.exceptions().len();
///         Ok(())
///     }
/// });
/// assert_eq!(seen, 1);
/// let rest = rest.unwrap_err();
/// assert!(rest.as_group().is_some_and(|group| group.exceptions()[0].is::<RuntimeError>()));
/// # Ok(())
/// # }
/// ```
///
/// With `async` in front, the clauses may await:
///
/// ```
/// use asyncio_core::{Result, TimeoutError, ValueError, except_star, run, sleep};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let failed: Result<()> = Err(ValueError::new("odd").into());
///     except_star!(async failed, {
///         TimeoutError | ValueError => |_group| {
///             sleep(0.001).await?;
///             Ok(())
///         }
///     })?;
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// As there, a clause cannot leave the function around it, and a clause for [`ExceptionGroup`] itself
/// is an error. Re-raising is `Err(group.into())`.
#[macro_export]
macro_rules! except_star {
    (async $outcome:expr, { $($clauses:tt)* }) => {
        match $outcome {
            ::core::result::Result::Ok(value) => {
                ::core::result::Result::Ok(::core::option::Option::Some(value))
            }
            ::core::result::Result::Err(exception) => {
                let mut star = $crate::ExceptStar::new(exception);
                $crate::__except_star_clauses!(async star; $($clauses)*);
                star.finish().map(|()| ::core::option::Option::None)
            }
        }
    };
    ($outcome:expr, { $($clauses:tt)* }) => {
        match $outcome {
            ::core::result::Result::Ok(value) => {
                ::core::result::Result::Ok(::core::option::Option::Some(value))
            }
            ::core::result::Result::Err(exception) => {
                let mut star = $crate::ExceptStar::new(exception);
                $crate::__except_star_clauses!(sync star; $($clauses)*);
                star.finish().map(|()| ::core::option::Option::None)
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __except_star_clauses {
    ($mode:ident $star:ident;) => {};
    ($mode:ident $star:ident; _ => |$group:pat_param| $body:block $(, $($more:tt)*)?) => {
        let matched = $star.take_exceptions();
        $crate::__except_star_run!($mode $star, matched, $group, $body);
        $crate::__except_star_clauses!($mode $star; $($($more)*)?);
    };
    ($mode:ident $star:ident; $($kind:ty)|+ => |$group:pat_param| $body:block $(, $($more:tt)*)?) => {
        let matched = $star.take_any(&[$($crate::ExceptStar::kind::<$kind>()),+]);
        $crate::__except_star_run!($mode $star, matched, $group, $body);
        $crate::__except_star_clauses!($mode $star; $($($more)*)?);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __except_star_run {
    (async $star:ident, $matched:ident, $group:pat_param, $body:block) => {
        if let ::core::option::Option::Some($group) = $matched {
            let outcome: $crate::Result<()> = async $body.await;
            if let ::core::result::Result::Err(raised) = outcome {
                $star.raised(raised);
            }
        }
    };
    (sync $star:ident, $matched:ident, $group:pat_param, $body:block) => {
        if let ::core::option::Option::Some($group) = $matched {
            let outcome: $crate::Result<()> = (|| $body)();
            if let ::core::result::Result::Err(raised) = outcome {
                $star.raised(raised);
            }
        }
    };
}
