//! A cell whose value's type is known: what `Task<T>` and `Future<T>` are made of.
#![expect(
    unsafe_code,
    reason = "the type of the value is known here and nowhere below"
)]

use std::fmt;
use std::future::Future as StdFuture;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::task::{Context as PollContext, Poll};

use super::callbacks::{Callback, DoneCall, SendCallback};
use super::cancel::cancel;
use super::driver::Driver;
use super::family::{Outer, Part};
use super::header::CANCELLED;
use super::outcome::{
    add_callback, born_failed, cancelled_message, complete, dispatch_at_once, retrieve,
    retrieve_mut,
};
use super::refs::{CellRef, TaskRef};
use super::task::{TaskParts, new_future, new_task};
use super::wait::{CellWait, Waited};
use crate::base_events::failed_callback;
use crate::contextvars::Slot;
use crate::current::{self, Frame};
use crate::exceptions::{CancelledError, Exception, Result};
use crate::loop_cell::{Core, Mail};
use crate::primitives::{Cell, Mutex, MutexGuard};

/// A handle that owns a reference and may retrieve the value.
///
/// It may go to another thread where its value may (`PhantomData<Mutex<T>>`): cloning and taking the
/// value are all that a handle does with it.
pub(crate) struct Typed<T> {
    cell: ManuallyDrop<CellRef>,
    /// How to copy the value; set as soon as there is a second handle that may want it.
    clone: OnceLock<fn(&T) -> T>,
    /// Ended before the reference is given up; nothing is left of it then.
    wait: ManuallyDrop<CellWait>,
    /// Where the outcome arrives from a loop on another thread.
    fetched: Option<Fetched<T>>,
    value: PhantomData<Mutex<T>>,
}

impl<T: 'static> Typed<T> {
    /// A new task, scheduled by nobody yet: of a loop, or for a tokio runtime.
    pub(crate) fn task<F>(core: Option<&Core>, future: F, parts: TaskParts) -> Self
    where
        F: StdFuture<Output = Result<T>> + 'static,
    {
        let task = match core {
            Some(_) => new_task::<F, T, ()>(core, future, parts),
            None => new_task::<F, T, Driver>(None, future, parts),
        };
        Self::of(task.into_cell())
    }

    /// A new task that a scope polls.
    pub(crate) fn scoped_task<F>(core: Option<&Core>, future: F, parts: TaskParts) -> Self
    where
        F: StdFuture<Output = Result<T>> + 'static,
    {
        Self::of(new_task::<F, T, Driver>(core, future, parts).into_cell())
    }

    /// A new future, pending: of a loop, or of none, where its value is `Send`.
    pub(crate) fn future(core: Option<&Core>) -> Self {
        Self::of(new_future::<T>(core, false))
    }

    /// The same, for a value that may be dropped on any thread, and is where the last reference goes there.
    pub(crate) fn send_future(core: Option<&Core>) -> Self
    where
        T: Send,
    {
        Self::of(new_future::<T>(core, true))
    }

    /// What a call that needs a loop returns where there is none: done already, with the error.
    pub(crate) fn failed(exception: Exception) -> Self {
        let cell = new_future::<T>(None, false);
        born_failed(&cell, exception);
        Self::of(cell)
    }

    /// A handle of a future that others decide.
    pub(crate) fn outer<P: Part<Value = T>>(outer: &Outer<P>) -> Self {
        Self::of(outer.cell().clone())
    }

    /// The result as gather lists it: of a cancelled future the message alone, and what its
    /// coroutine raised is left for whoever asks first.
    pub(crate) fn listed(&self) -> Result<T> {
        if self.cancelled() {
            // SAFETY: the value of the cell is a `T`.
            let message = unsafe { cancelled_message::<T>(&self.cell) };
            return Err(CancelledError::from_message(message).into());
        }
        self.take_result()
    }

    /// Private, and given only cells made for a `T`: that is why the value of every `Typed<T>` is one.
    fn of(cell: CellRef) -> Self {
        Self {
            cell: ManuallyDrop::new(cell),
            clone: OnceLock::new(),
            wait: ManuallyDrop::new(CellWait::new()),
            fetched: None,
            value: PhantomData,
        }
    }

    /// Sets the value of a future; it comes back when the future is done already, and on another
    /// thread than its loop's.
    pub(crate) fn complete(&self, value: T) -> Result<(), T> {
        if self.done() {
            return Err(value);
        }
        debug_assert!(self.as_task().is_none(), "a task's value is its future's");
        // SAFETY: the value of the cell is a `T`; it is a future's, because only `Future` completes,
        // and that is never the handle of a task that is not done.
        unsafe { complete(&self.cell, value) }
    }

    pub(crate) fn poll(&mut self, cx: &mut PollContext<'_>) -> Poll<Result<T>> {
        if self.fetched.is_some() && !current::in_task() {
            // A task is told by its slot; who is none looks here.
            if let Some(result) = self.take_fetched() {
                self.wait.give_up(&self.cell);
                return Poll::Ready(result);
            }
        }
        let (cell, clone) = (&*self.cell, &self.clone);
        let fetched = &mut self.fetched;
        match self.wait.poll(cell, cx, |callback| {
            fetch(callback, clone.get().copied(), fetched)
        }) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Waited::Failed) => Poll::Ready(Err(self.wait.take_error())),
            Poll::Ready(Waited::Done) => {
                if self.fetched.is_some()
                    && let Some(result) = self.take_fetched()
                {
                    return Poll::Ready(result);
                }
                let clone = self.clone.get().copied();
                // SAFETY: the value of the cell is a `T`.
                Poll::Ready(unsafe { retrieve_mut(&mut self.cell, clone) })
            }
        }
    }

    /// The outcome, where it was brought here from the thread of its loop.
    fn take_fetched(&mut self) -> Option<Result<T>> {
        let arrived = self
            .fetched
            .as_ref()
            .and_then(|fetched| lock(fetched).take());
        if arrived.is_some() {
            self.fetched = None;
        }
        arrived
    }

    /// The value for whoever has the last word on it; other handles get a copy where they can.
    pub(crate) fn take_result(&self) -> Result<T> {
        // SAFETY: the value of the cell is a `T`.
        unsafe { retrieve(&self.cell, self.clone.get().copied()) }
    }

    /// Has a function called once the cell is done, with a handle of its own; from any thread.
    pub(crate) fn add_done_callback<C>(&self, context: Slot, function: C) -> u64
    where
        C: FnOnce(Self) -> Result<()> + Send + 'static,
    {
        let (id, callback) = done_callback(context, function);
        if self.cell.is_reachable() {
            add_callback(&self.cell, callback);
            return id;
        }
        struct Parts(CellRef, Callback);
        // SAFETY: the function is `Send`, and so is all else in the callback.
        unsafe impl Send for Parts {}
        impl Parts {
            fn add(self) {
                add_callback(&self.0, self.1);
            }
        }
        let parts = Parts(self.cell().clone(), callback);
        // A loop that is closed just now calls nobody any more, as Python's.
        let _ = self
            .cell
            .home()
            .post(Mail::Run(Box::new(move |_| parts.add())));
        id
    }

    /// As `add_done_callback`, for a function that must stay here; `None` where this is not the
    /// thread of the cell's loop.
    pub(crate) fn add_local_done_callback<C>(&self, context: Slot, function: C) -> Option<u64>
    where
        C: FnOnce(Self) -> Result<()> + 'static,
    {
        if !self.cell.is_here() {
            return None;
        }
        let (id, callback) = done_callback(context, function);
        add_callback(&self.cell, callback);
        Some(id)
    }
}

/// A done callback for a cell with a `T`, and the number by which it is removed.
fn done_callback<T, C>(context: Slot, function: C) -> (u64, Callback)
where
    T: 'static,
    C: FnOnce(Typed<T>) -> Result<()> + 'static,
{
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only that numbers differ matters.
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let call = TypedCall {
        id,
        function,
        context,
        value: PhantomData::<fn(T)>,
    };
    (id, Callback::Call(Box::new(call)))
}

/// An outcome on its way from the thread of its loop.
type Fetched<T> = Arc<Mutex<Option<Result<T>>>>;

/// A callback that, on the cell's own thread, puts the outcome where `fetched` then refers to, and
/// then does what the given one does.
fn fetch<T: 'static>(
    then: Callback,
    clone: Option<fn(&T) -> T>,
    fetched: &mut Option<Fetched<T>>,
) -> Callback {
    struct Parts<T>(Fetched<T>, Option<fn(&T) -> T>, Option<SendCallback>);
    // SAFETY: this is called where the cell's loop is another thread's. So the handle came here from
    // there, which it may only when its value may.
    unsafe impl<T> Send for Parts<T> {}
    impl<T> Parts<T> {
        fn arrive(self, cell: &CellRef) {
            // A wait that was begun anew has sent for the outcome more than once; only this thread
            // brings it.
            if lock(&self.0).is_none() {
                // SAFETY: the callback is added to the very cell of this handle, whose value is a
                // `T`.
                let result = unsafe { retrieve(cell, self.1) };
                *lock(&self.0) = Some(result);
            }
            if let Some(then) = self.2 {
                dispatch_at_once(cell, then.into_inner());
            }
        }
    }
    let arrived = fetched.get_or_insert_default();
    let parts = Parts(Arc::clone(arrived), clone, SendCallback::new(then));
    Callback::Fetch(Box::new(move |cell| parts.arrive(cell)))
}

fn lock<T>(fetched: &Mutex<T>) -> MutexGuard<'_, T> {
    fetched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A done callback that was added to a cell with a `T`.
struct TypedCall<T, C> {
    id: u64,
    function: C,
    context: Slot,
    value: PhantomData<fn(T)>,
}

impl<T: 'static, C: FnOnce(Typed<T>) -> Result<()>> DoneCall for TypedCall<T, C> {
    fn call(self: Box<Self>, cell: CellRef) {
        let Self {
            function, context, ..
        } = *self;
        let core = cell.home().core();
        let loop_cell = core.map_or(ptr::null(), |core| core.loop_cell().as_ptr().cast_const());
        let context = Cell::new(context);
        let handle = Typed::of(cell.clone());
        let result = Frame::run(loop_cell, None, &context, |_| function(handle));
        if let Err(exception) = result {
            failed_callback(core, exception, Some(context.take().share()));
        }
    }

    fn id(&self) -> u64 {
        self.id
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
            wait: ManuallyDrop::new(CellWait::new()),
            fetched: None,
            value: PhantomData,
        }
    }
}

impl<T> Drop for Typed<T> {
    fn drop(&mut self) {
        if self.wait.is_waiting() {
            self.wait.give_up(&self.cell);
        }
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
