//! What combinators see of the futures they are given.

use super::handle::TaskHandle;
use super::task::Task;
use crate::cell::CellRef;
use crate::futures::Future;

/// One of several futures, whatever its value.
#[expect(
    unnameable_types,
    reason = "it stands in the hidden part of a public trait, which is ours alone to implement"
)]
#[derive(Debug)]
pub struct Child<'a>(pub(crate) &'a CellRef);

impl<'a> Child<'a> {
    pub(crate) fn of<T: 'static>(task: &'a Task<T>) -> Self {
        Self(task.typed().cell())
    }
}

/// What [`wait`](crate::wait()) can wait for: a [`Task`], a [`Future`], a [`TaskHandle`], or a
/// reference to one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be waited for before it is a task",
    label = "a `Task`, a `Future` or a `TaskHandle` is wanted here",
    note = "start it first, as in `create_task(…)`; `gather` and `as_completed` do that themselves"
)]
pub trait Waitable {
    #[doc(hidden)]
    fn child(&self) -> Child<'_>;
}

impl<T: 'static> Waitable for Task<T> {
    fn child(&self) -> Child<'_> {
        Child::of(self)
    }
}

impl<T: 'static> Waitable for Future<T> {
    fn child(&self) -> Child<'_> {
        Child(self.typed().cell())
    }
}

impl Waitable for TaskHandle {
    fn child(&self) -> Child<'_> {
        Child(self.task().cell())
    }
}

impl<W: Waitable> Waitable for &W {
    fn child(&self) -> Child<'_> {
        (**self).child()
    }
}
