//! A cell whose value's type is known: what `Task<T>` and `Future<T>` are made of.
#![expect(
    unsafe_code,
    reason = "the type of the value is known here and nowhere below"
)]

use std::cell::Cell;
use std::fmt;
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context as PollContext, Poll};

use super::callbacks::{Callback, DoneCall};
use super::cancel::cancel;
use super::header::CANCELLED;
use super::outcome::{add_callback, born_failed, complete, retrieve};
use super::refs::{CellRef, TaskRef};
use super::task::{TaskParts, new_future, new_task};
use super::wait::CellWait;
use crate::base_events::failed_callback;
use crate::contextvars::Slot;
use crate::current::Frame;
use crate::exceptions::{Exception, Result};
use crate::loop_cell::{Core, nowhere};

/// A handle that owns a reference and may retrieve the value.
///
/// It may go to another thread where its value may (`PhantomData<Mutex<T>>`): cloning and taking the
/// value are all that a handle does with it.
pub(crate) struct Typed<T> {
    cell: ManuallyDrop<CellRef>,
    /// How to copy the value; set as soon as there is a second handle that may want it.
    clone: OnceLock<fn(&T) -> T>,
    wait: CellWait,
    value: PhantomData<Mutex<T>>,
}

impl<T: 'static> Typed<T> {
    /// A new task, scheduled by nobody yet.
    pub(crate) fn task<F>(core: &Core, future: F, parts: TaskParts) -> Self
    where
        F: StdFuture<Output = Result<T>> + 'static,
    {
        Self::of(new_task(core.loop_cell(), future, parts).into_cell())
    }

    /// A new future, pending.
    pub(crate) fn future(core: &Core) -> Self {
        Self::of(new_future::<T>(core.loop_cell()))
    }

    /// What a call that needs a loop returns where there is none: done already, with the error.
    pub(crate) fn failed(exception: Exception) -> Self {
        let cell = new_future::<T>(nowhere());
        born_failed(&cell, exception);
        Self::of(cell)
    }

    /// Private, and given only cells made for a `T`: that is why the value of every `Typed<T>` is one.
    fn of(cell: CellRef) -> Self {
        Self {
            cell: ManuallyDrop::new(cell),
            clone: OnceLock::new(),
            wait: CellWait::new(),
            value: PhantomData,
        }
    }

    /// Sets the value of a future; it comes back when the future is done already. At home.
    pub(crate) fn complete(&self, core: &Core, value: T) -> Result<(), T> {
        debug_assert!(self.as_task().is_none(), "a task's value is its future's");
        // SAFETY: the value of the cell is a `T`; it is a future's, because only `Future` completes.
        unsafe { complete(core, &self.cell, value) }
    }

    pub(crate) fn poll(&mut self, cx: &mut PollContext<'_>) -> Poll<Result<T>> {
        match self.wait.poll(&self.cell, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => Poll::Ready(self.take_result()),
        }
    }

    /// The value for whoever has the last word on it; other handles get a copy where they can.
    pub(crate) fn take_result(&self) -> Result<T> {
        // SAFETY: the value of the cell is a `T`.
        unsafe { retrieve(&self.cell, self.clone.get().copied()) }
    }

    /// Has a function called once the cell is done, with a handle of its own; at home.
    pub(crate) fn add_done_callback<C>(&self, core: &Core, context: Slot, function: C) -> u64
    where
        C: FnOnce(Self) -> Result<()> + 'static,
    {
        let id = core.callbacks_made.get() + 1;
        core.callbacks_made.set(id);
        let call = TypedCall {
            function,
            context,
            value: PhantomData::<fn(T)>,
        };
        add_callback(
            core,
            &self.cell,
            Callback::Call {
                id,
                call: Box::new(call),
            },
        );
        id
    }
}

/// A done callback that was added to a cell with a `T`.
struct TypedCall<T, C> {
    function: C,
    context: Slot,
    value: PhantomData<fn(T)>,
}

impl<T: 'static, C: FnOnce(Typed<T>) -> Result<()>> DoneCall for TypedCall<T, C> {
    fn call(self: Box<Self>, cell: CellRef) {
        let Self {
            function, context, ..
        } = *self;
        let home = std::ptr::from_ref(cell.home());
        let context = Cell::new(context);
        let handle = Typed::of(cell.clone());
        let result = Frame::run(home, None, &context, |_| function(handle));
        if let (Err(exception), Some(core)) = (result, cell.home().core()) {
            failed_callback(core, exception);
        }
    }
}

impl<T: Clone + 'static> Typed<T> {
    /// A copy of the value, or why there is none.
    pub(crate) fn result(&self) -> Result<T> {
        // SAFETY: the value of the cell is a `T`.
        unsafe { retrieve(&self.cell, Some(T::clone)) }
    }
}

impl<T> Typed<T> {
    pub(crate) fn done(&self) -> bool {
        self.cell.is_done()
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cell.has(CANCELLED)
    }

    pub(crate) fn cancel(&self, message: Option<String>) -> bool {
        cancel(&self.cell, &message.map(Arc::new))
    }

    pub(crate) fn cell(&self) -> &CellRef {
        &self.cell
    }

    pub(crate) fn as_task(&self) -> Option<&TaskRef> {
        self.cell.as_task()
    }
}

impl<T: Clone> Clone for Typed<T> {
    fn clone(&self) -> Self {
        // From now on whoever retrieves through either handle leaves the value for the other.
        let _ = self.clone.set(T::clone);
        Self {
            cell: self.cell.clone(),
            clone: OnceLock::from(T::clone as fn(&T) -> T),
            wait: CellWait::new(),
            value: PhantomData,
        }
    }
}

impl<T> Drop for Typed<T> {
    fn drop(&mut self) {
        // The wait ends first: it refers to the cell.
        self.wait = CellWait::new();
        // SAFETY: the cell is not used after this.
        let cell = unsafe { ManuallyDrop::take(&mut self.cell) };
        cell.release_typed();
    }
}

// A handle is not pinned to its place by anything: its cell is elsewhere.
impl<T> Unpin for Typed<T> {}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.cell, f)
    }
}
