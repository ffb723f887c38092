//! Waiting for a cell: the leaf behind every awaited future and task.

use std::fmt;
use std::task::{Context as PollContext, Poll};

use super::callbacks::{Callback, Token};
use super::header::{MUST_CANCEL, REQUESTED, RUNNING, SCHEDULED};
use super::outcome::{add_callback, mark_retrieved, peek_cancelled, remove_callback};
use super::refs::{CellRef, TaskRef};
use super::step::{is_own_waker, is_task_waker, schedule};
use super::waits::{Ended, SlotId, State};
use crate::current::{self, Frame};
use crate::exceptions::{CancelledError, Exception, Message, RuntimeError};
use crate::loop_cell::Mail;

/// One wait for one cell, which its owner holds for longer and hands to every call; the owner ends it
/// with [`give_up`](Self::give_up).
#[derive(Default)]
pub(crate) struct CellWait {
    state: Registration,
}

#[derive(Default)]
enum Registration {
    #[default]
    None,
    /// In a slot of a task.
    Slot { task: TaskRef, id: SlotId },
    /// Polled by something that is no task of ours.
    Outside { token: Token },
    /// A task awaiting itself, found out in this turn.
    Itself { turn: u64 },
    /// The wait ended with this.
    Failed(Exception),
}

/// How a wait ended. The error stays in the wait, so that the answer is a number.
pub(crate) enum Waited {
    Done,
    /// See [`CellWait::take_error`].
    Failed,
}

impl CellWait {
    pub(crate) const fn new() -> Self {
        Self {
            state: Registration::None,
        }
    }

    /// Waits until the cell is done, or until the wait itself fails.
    ///
    /// `send`: makes of a callback one that brings the outcome along, for a cell whose loop is
    /// another thread's.
    #[inline]
    pub(crate) fn poll(
        &mut self,
        cell: &CellRef,
        cx: &mut PollContext<'_>,
        send: impl FnOnce(Callback) -> Callback,
    ) -> Poll<Waited> {
        current::with(|frame| match frame.map(|frame| (frame, frame.task())) {
            Some((frame, Some(task))) => {
                if frame.is_home_of(cell)
                    && frame.is_home_of(task.cell())
                    && let Some(polled) = self.poll_at_home(cell, frame, task, cx)
                {
                    return polled;
                }
                self.poll_in_task(cell, task, cx, send)
            }
            Some((_, None)) | None => self.poll_outside(cell, cx, send),
        })
    }

    /// The short way of by far the most waits: the task and what it waits for are of the loop that is
    /// running, the task itself polls, and this is its only wait. `None` where that is not so, with
    /// nothing done yet.
    #[inline]
    fn poll_at_home(
        &mut self,
        cell: &CellRef,
        frame: &Frame,
        current: &TaskRef,
        cx: &PollContext<'_>,
    ) -> Option<Poll<Waited>> {
        match &self.state {
            Registration::None => {
                if cell.is_done() {
                    return Some(Poll::Ready(Waited::Done));
                }
                if cell == current.cell() || !is_own_waker(cx.waker(), current) {
                    return None;
                }
                let id = current.begin_first(|| cell.clone_here())?;
                let token = cell.add_callback(Callback::Task {
                    task: current.clone_here(),
                    slot: id,
                });
                current.set_token(id, token);
                frame.delivery.begun.set(frame.delivery.begun.get() + 1);
                self.state = Registration::Slot {
                    task: current.clone_here(),
                    id,
                };
                Some(Poll::Pending)
            }
            Registration::Slot { task, id } if task == current && cell.is_done() => {
                if current.base.has(REQUESTED) {
                    return None;
                }
                let target = current.end_first(*id)?;
                target.drop_here();
                if let Registration::Slot { task, .. } = std::mem::take(&mut self.state) {
                    task.into_cell().drop_here();
                }
                Some(Poll::Ready(Waited::Done))
            }
            _ => None,
        }
    }

    fn poll_in_task(
        &mut self,
        cell: &CellRef,
        current: &TaskRef,
        cx: &mut PollContext<'_>,
        send: impl FnOnce(Callback) -> Callback,
    ) -> Poll<Waited> {
        match &self.state {
            Registration::None => {}
            Registration::Slot { task, id } if task == current => {
                let id = *id;
                match watched_state(current, id, cx) {
                    State::Pending => return Poll::Pending,
                    State::Thrown | State::Cancelled => {
                        // The future's own outcome is passed over, as `__wakeup` does.
                        mark_retrieved(cell);
                        let message = end(current, id);
                        self.state = Registration::None;
                        take_delivery(current);
                        return Poll::Ready(
                            self.failed(CancelledError::from_message(message).into()),
                        );
                    }
                    State::Woken | State::Free => {
                        end(current, id);
                        self.state = Registration::None;
                        if current.base.has(REQUESTED) && peek_cancelled(cell).is_some() {
                            take_delivery(current);
                        }
                        return Poll::Ready(Waited::Done);
                    }
                }
            }
            Registration::Itself { turn } => {
                let turn = *turn;
                return self.poll_itself(current, turn);
            }
            Registration::Slot { .. } | Registration::Outside { .. } | Registration::Failed(_) => {
                self.give_up(cell);
            }
        }
        if cell.is_done() && cell.is_reachable() {
            return Poll::Ready(Waited::Done);
        }
        began();
        if cell == current.cell() {
            // It yields itself to itself; the complaint comes with the next step.
            self.state = Registration::Itself {
                turn: turn(current).unwrap_or(0),
            };
            schedule(current);
            return Poll::Pending;
        }
        let waker = (!is_task_waker(cx.waker(), current)).then(|| cx.waker().clone());
        let id = begin(current, waker, Some(cell));
        self.state = Registration::Slot {
            task: current.clone(),
            id,
        };
        let callback = Callback::Task {
            task: current.clone(),
            slot: id,
        };
        let callback = if cell.is_reachable() {
            callback
        } else {
            send(callback)
        };
        let token = add_callback(cell, callback);
        current.cell().access(|| current.set_token(id, token));
        Poll::Pending
    }

    fn poll_itself(&mut self, current: &TaskRef, begun: u64) -> Poll<Waited> {
        if turn(current).is_some_and(|now| now == begun) {
            return Poll::Pending;
        }
        self.state = Registration::None;
        if let Some(message) = thrown() {
            take_delivery(current);
            return Poll::Ready(self.failed(CancelledError::from_message(message).into()));
        }
        Poll::Ready(self.failed(RuntimeError::new("Task cannot await on itself").into()))
    }

    fn poll_outside(
        &mut self,
        cell: &CellRef,
        cx: &mut PollContext<'_>,
        send: impl FnOnce(Callback) -> Callback,
    ) -> Poll<Waited> {
        if cell.is_done() && cell.is_reachable() {
            if let Registration::Outside { .. } = self.state {
                // Called and gone.
                self.state = Registration::None;
            }
            if self.is_waiting() {
                self.give_up(cell);
            }
            return Poll::Ready(Waited::Done);
        }
        if self.is_waiting() {
            self.give_up(cell);
        }
        let callback = Callback::Waker(cx.waker().clone());
        let callback = if cell.is_reachable() {
            callback
        } else {
            send(callback)
        };
        let token = add_callback(cell, callback);
        self.state = Registration::Outside { token };
        Poll::Pending
    }

    /// Whether the wait holds anything at all.
    #[inline]
    pub(crate) const fn is_waiting(&self) -> bool {
        !matches!(self.state, Registration::None)
    }

    /// What the wait failed with.
    #[cold]
    pub(crate) fn take_error(&mut self) -> Exception {
        match std::mem::take(&mut self.state) {
            Registration::Failed(exception) => exception,
            _ => RuntimeError::new("the wait did not fail").into(),
        }
    }

    #[cold]
    fn failed(&mut self, exception: Exception) -> Waited {
        self.state = Registration::Failed(exception);
        Waited::Failed
    }

    /// Ends the wait, if there is one.
    pub(crate) fn give_up(&mut self, cell: &CellRef) {
        match std::mem::take(&mut self.state) {
            Registration::None | Registration::Itself { .. } | Registration::Failed(_) => {}
            Registration::Slot { task, id } => end_anywhere(task, id),
            Registration::Outside { token } => remove_callback(cell, token),
        }
    }
}

impl fmt::Debug for CellWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CellWait")
            .field("waiting", &self.is_waiting())
            .finish()
    }
}

/// Begins a wait in a slot of the task that is running.
#[inline]
pub(crate) fn begin(
    task: &TaskRef,
    waker: Option<std::task::Waker>,
    target: Option<&CellRef>,
) -> SlotId {
    let target = target.cloned();
    let mut parts = Some((waker, target));
    task.cell()
        .access(|| {
            let (waker, target) = parts.take()?;
            Some(task.begin_wait(waker, target))
        })
        .flatten()
        .unwrap_or(SlotId::NONE)
}

/// The state of a wait of the task that is running.
#[inline]
pub(crate) fn slot_state(task: &TaskRef, id: SlotId) -> State {
    task.cell()
        .access(|| task.wait_state(id))
        .unwrap_or(State::Free)
}

/// As `slot_state`, of a wait that is polled again: while it goes on, who polls is woken from now on.
#[inline]
pub(crate) fn watched_state(task: &TaskRef, id: SlotId, cx: &PollContext<'_>) -> State {
    match slot_state(task, id) {
        State::Pending => {
            watch(task, id, cx);
            // Another thread may have ended the wait meanwhile, and have woken who was to be woken
            // until then.
            slot_state(task, id)
        }
        over => over,
    }
}

/// Notes that something of ours began to wait in the step under way.
#[inline]
pub(crate) fn began() {
    current::with(|frame| {
        if let Some(frame) = frame {
            frame.delivery.begun.set(frame.delivery.begun.get() + 1);
        }
    });
}

/// Notes that a scope of ours leaves the delivery to the next step.
pub(crate) fn put_off() {
    current::with(|frame| {
        if let Some(frame) = frame {
            frame.delivery.put_off.set(true);
        }
    });
}

/// Notes that a wait of ours raised the CancelledError that was due.
#[cold]
pub(crate) fn take_delivery(task: &TaskRef) {
    task.cell().access(|| task.base.clear(REQUESTED));
    current::with(|frame| {
        if let Some(frame) = frame {
            frame.delivery.taken.set(frame.delivery.taken.get() + 1);
        }
    });
}

/// The message of a cancellation that every wait without a slot raises in this step.
pub(crate) fn thrown() -> Option<Message> {
    current::with(|frame| {
        let delivery = &frame?.delivery;
        delivery.thrown.get().then(|| delivery.message())
    })
}

/// Whether a wait was cancelled after the step under way began: its end is the next step's affair.
pub(crate) fn was_just_cancelled(task: &TaskRef, id: SlotId) -> bool {
    task.cell().access(|| task.was_just_cancelled(id)) == Some(true)
}

/// Has who polls a wait woken for it: the task itself, or something inside it.
fn watch(task: &TaskRef, id: SlotId, cx: &PollContext<'_>) {
    let own = is_task_waker(cx.waker(), task);
    let right = task
        .cell()
        .access(|| match task.is_polled_by(id, cx.waker()) {
            None => own,
            Some(same) => !own && same,
        });
    if right != Some(false) {
        return;
    }
    // Cloned and dropped out here: a foreign waker may run anything.
    let mut waker = (!own).then(|| cx.waker().clone());
    task.cell().access(|| task.place_waker(id, &mut waker));
    drop(waker);
}

/// Ends a wait and returns the message its cancellation left.
#[inline]
pub(crate) fn end(task: &TaskRef, id: SlotId) -> Message {
    let ended = end_quietly(task, id);
    if ended.asked {
        hand_back(task, ended.extra.message);
        return None;
    }
    ended.extra.message
}

/// Ends a wait that has no future, wherever it is dropped; whether somebody had ended it before, as far
/// as can be told from this thread.
pub(crate) fn end_unawaited(task: TaskRef, id: SlotId) -> bool {
    if task.cell().is_reachable() {
        return end_quietly(&task, id).woken;
    }
    end_anywhere(task, id);
    false
}

#[inline]
fn end_quietly(task: &TaskRef, id: SlotId) -> Ended {
    let ended = task.cell().access(|| task.end_wait(id)).unwrap_or_default();
    if let Some(cell) = &ended.target {
        remove_callback(cell, ended.token);
    }
    ended
}

/// A wait was given up whose future had been asked to end: unless the request has been raised by
/// another wait, it is raised at the task's next one.
#[cold]
fn hand_back(task: &TaskRef, message: Message) {
    if !task.base.has(REQUESTED) || task.base.is_done() {
        return;
    }
    let delivers = |frame: &Frame| {
        let delivery = &frame.delivery;
        let ours = frame.task() == Some(task);
        if ours && !delivery.due.replace(true) {
            delivery.set_message(message.clone());
        }
        ours
    };
    if current::with(|frame| frame.is_some_and(delivers)) {
        return;
    }
    let idle = task.cell().access(|| {
        task.base.set(MUST_CANCEL);
        task.set_message(message);
        !task.base.has(SCHEDULED | RUNNING)
    });
    if idle == Some(true) {
        schedule(task);
    }
}

/// Ends a wait from wherever it is dropped.
pub(crate) fn end_anywhere(task: TaskRef, id: SlotId) {
    if task.cell().is_reachable() {
        drop(end(&task, id));
        return;
    }
    let home = task.cell().clone();
    if let Err(Mail::EndWait(task, id)) = home.home().post(Mail::EndWait(task, id)) {
        // The loop was closed just now.
        drop(end(&task, id));
    }
}

/// The iteration a task's loop is in; none on a tokio runtime, where every poll is a step.
fn turn(task: &TaskRef) -> Option<u64> {
    task.cell().home().core().map(|core| core.turn.get())
}
