//! What is running on this thread: the loop, the task, the context.
//!
//! A [`Frame`] lives on the stack of whoever runs something (the loop's `block_on`, a task's step, a
//! callback) and the thread-local points to the innermost one for as long, so nothing is left behind
//! in the thread when it ends.
#![expect(
    unsafe_code,
    reason = "the thread-local holds a pointer to a frame of this thread's stack"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::task::Waker;

use tokio::runtime::Runtime;

use crate::cell::{CellRef, SlotId, TaskRef};
use crate::contextvars::{Context, Slot, Values};
use crate::exceptions::{Message, RuntimeError};
use crate::loop_cell::{Core, LoopCell};
use crate::primitives::{Cell, thread_local};

thread_local! {
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

/// One level of "what is running here".
pub(crate) struct Frame {
    /// The frame further out, which is current again when this one is left; or null.
    outer: *const Self,
    loop_cell: *const LoopCell,
    /// The task, kept by whoever runs the frame.
    task: Option<NonNull<TaskRef>>,
    /// What the task, if there is one, is polled with; null when it is not being polled.
    waker: Cell<*const Waker>,
    /// The context's place: a task's own, or one on the stack further out than the frame.
    context: Cell<*const Cell<Slot>>,
    /// The wait of the task that its step has ended when it began.
    pub(crate) ended: Cell<SlotId>,
    /// The request to be cancelled that this step has to deliver.
    pub(crate) delivery: Delivery,
}

/// How far a step has come in delivering a cancellation; see `docs/CANCELLATION.md`.
#[derive(Default)]
pub(crate) struct Delivery {
    /// A CancelledError is to be raised in this step.
    pub(crate) due: Cell<bool>,
    /// Whether a wait that has no slot of its own (a bare yield) raises it too.
    pub(crate) thrown: Cell<bool>,
    /// How many of our waits have raised it.
    pub(crate) taken: Cell<u32>,
    /// How many of our waits began in this step.
    pub(crate) begun: Cell<u32>,
    /// The step before left the same request over.
    pub(crate) rearmed: Cell<bool>,
    /// A scope has made a request of its own and did not poll what could have raised the one that is
    /// due: both are for the next step.
    pub(crate) put_off: Cell<bool>,
    message: Cell<Message>,
}

impl Delivery {
    /// The message of the cancellation being delivered.
    pub(crate) fn message(&self) -> Message {
        let message = self.message.take();
        self.message.set(message.clone());
        message
    }

    pub(crate) fn set_message(&self, message: Message) {
        self.message.set(message);
    }

    /// How far the delivery is, for `is_stuck_since`.
    pub(crate) fn mark(&self) -> (u32, u32) {
        (self.taken.get(), self.begun.get())
    }

    /// Whether something foreign is in the way: the request is due and, since the mark, nothing of
    /// ours raised it and nothing of ours began to wait that could be cancelled instead.
    pub(crate) fn is_stuck_since(&self, mark: (u32, u32)) -> bool {
        let (taken, begun) = mark;
        // What keeps beginning to wait anew without ever raising the request is in the way too.
        self.due.get()
            && !self.put_off.get()
            && self.taken.get() == taken
            && (self.begun.get() == begun || self.rearmed.get())
    }
}

impl Frame {
    /// Runs a function with this loop, task and context as what is current.
    pub(crate) fn run<R>(
        loop_cell: *const LoopCell,
        task: Option<&TaskRef>,
        context: &Cell<Slot>,
        function: impl FnOnce(&Self) -> R,
    ) -> R {
        let frame = Self {
            outer: CURRENT.get(),
            loop_cell,
            task: task.map(NonNull::from),
            waker: Cell::new(ptr::null()),
            context: Cell::new(context),
            ended: Cell::new(SlotId::NONE),
            delivery: Delivery::default(),
        };
        CURRENT.set(&raw const frame);
        let _restore = Restore(&frame);
        function(&frame)
    }

    pub(crate) const fn loop_cell(&self) -> *const LoopCell {
        self.loop_cell
    }

    /// The loop's own part, where a loop is running.
    pub(crate) fn core(&self) -> Option<&Core> {
        // SAFETY: the pointer is null or that of the loop for which the frame was entered, and who
        // runs a loop keeps it. A frame is entered on the loop's thread only, before it is closed.
        unsafe { self.loop_cell.as_ref() }.map(LoopCell::core_of_frame)
    }

    #[inline]
    pub(crate) fn task(&self) -> Option<&TaskRef> {
        // SAFETY: `run` borrows it for longer than the frame lives.
        self.task.map(|task| unsafe { task.as_ref() })
    }

    /// Runs a function as the poll of the frame's task with this waker.
    #[inline]
    pub(crate) fn polling<R>(&self, waker: &Waker, function: impl FnOnce() -> R) -> R {
        self.waker.set(waker);
        // A panic on the way leaves the frame as well, and with it the pointer.
        let result = function();
        self.waker.set(ptr::null());
        result
    }

    /// Whether a waker wakes what polls the frame's task.
    pub(crate) fn is_polled_with(&self, waker: &Waker) -> bool {
        // SAFETY: null, or borrowed by `polling`, which resets it, for longer than it is there.
        unsafe { self.waker.get().as_ref() }.is_some_and(|known| known.will_wake(waker))
    }

    /// Whether this frame's loop is the home of a cell.
    #[inline]
    pub(crate) fn is_home_of(&self, cell: &CellRef) -> bool {
        ptr::eq(self.loop_cell, cell.home_ptr().as_ptr())
    }

    fn context(&self) -> &Cell<Slot> {
        // SAFETY: set to a place that outlives the frame, by `run`, or for the length of a call,
        // by `in_context`.
        unsafe { &*self.context.get() }
    }

    #[inline]
    fn values(&self) -> Values {
        // Copying values copies a pointer.
        self.slot().values()
    }

    /// The slot, to be looked at: nothing that is called with it may change it.
    #[inline]
    fn slot(&self) -> &Slot {
        // SAFETY: the place is this thread's own, and what reads it changes nothing and calls nothing.
        unsafe { &*self.context().as_ptr() }
    }
}

/// Looks at the innermost frame, if there is one.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(Option<&Frame>) -> R) -> R {
    let frame = CURRENT.get();
    // SAFETY: the pointer is null or was set by `Frame::run`, whose frame lives until it has put
    // the former pointer back, also when unwinding.
    f(unsafe { frame.as_ref() })
}

/// The loop whose `block_on`, step or callback is running on this thread, or null.
#[inline]
pub(crate) fn loop_cell() -> *const LoopCell {
    with(|frame| frame.map_or(ptr::null(), Frame::loop_cell))
}

/// Whether a task of ours is running on this thread.
pub(crate) fn in_task() -> bool {
    with(|frame| frame.and_then(Frame::task).is_some())
}

/// A number for this thread that no other thread has, now or later.
pub(crate) fn thread_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    THREAD.with(|id| {
        if id.get() == 0 {
            // Relaxed: only that numbers differ matters, and an atomic addition sees to that.
            id.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        id.get()
    })
}

/// Whether this thread may block on a runtime: no loop and no other runtime is being run by it.
pub(crate) fn may_block_on(runtime: &Runtime) -> Result<(), RuntimeError> {
    if !loop_cell().is_null() {
        return Err(RuntimeError::new(
            "Cannot run the event loop while another loop is running",
        ));
    }
    let in_tokio = tokio::runtime::Handle::try_current().is_ok();
    let probe = || runtime.block_on(async {});
    if in_tokio && catch_unwind(AssertUnwindSafe(probe)).is_err() {
        // tokio tells a thread that may block from one that may not by a panic alone.
        return Err(RuntimeError::new(
            "the event loop cannot be run from within a tokio runtime: await instead",
        ));
    }
    Ok(())
}

/// The values of the current context; none outside of any.
#[inline]
pub(crate) fn values() -> Values {
    with(|frame| frame.map_or_else(Values::default, Frame::values))
}

/// Shows a function the values of the current context; `None` outside of any.
pub(crate) fn with_context<R>(f: impl FnOnce(&Values) -> R) -> Option<R> {
    // The function runs on a copy, because it may clone a user's value and so run anything.
    let values = with(|frame| frame.map(Frame::values))?;
    Some(f(&values))
}

/// The current context as an object; `None` outside of any.
pub(crate) fn context() -> Option<Context> {
    with(|frame| {
        let frame = frame?;
        let mut slot = frame.context().take();
        let context = slot.share();
        frame.context().set(slot);
        Some(context)
    })
}

/// The current context, where it is an object already.
pub(crate) fn shared_context() -> Option<Context> {
    with(|frame| frame?.slot().context().cloned())
}

/// Whether something on this thread's stack runs in a context.
pub(crate) fn is_entered(context: &Context) -> bool {
    let mut next = CURRENT.get();
    // SAFETY: null or a frame further out on this thread's stack, which lives longer.
    while let Some(frame) = unsafe { next.as_ref() } {
        let is_it = |slot: &Slot| slot.context().is_some_and(|known| known.same_as(context));
        // SAFETY: the place is this thread's own while its task is running, and what reads it here
        // changes nothing and calls nothing.
        let task = frame.task().map(|task| unsafe { &*task.context.as_ptr() });
        if is_it(frame.slot()) || task.is_some_and(is_it) {
            return true;
        }
        next = frame.outer;
    }
    false
}

/// Runs a function in another context, with the same loop and task as now.
pub(crate) fn in_context<R>(context: Slot, function: impl FnOnce() -> R) -> R {
    let context = Cell::new(context);
    with(|frame| match frame {
        // The frame stays, only its context is another: a task may be polled inside.
        Some(frame) => {
            let _back = ContextBack {
                frame,
                context: frame.context.replace(&raw const context),
            };
            function()
        }
        None => Frame::run(ptr::null(), None, &context, |_| function()),
    })
}

/// Puts a frame's context back, also when the function panics.
struct ContextBack<'a> {
    frame: &'a Frame,
    context: *const Cell<Slot>,
}

impl Drop for ContextBack<'_> {
    fn drop(&mut self) {
        self.frame.context.set(self.context);
    }
}

struct Restore<'a>(&'a Frame);

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.0.outer);
    }
}
