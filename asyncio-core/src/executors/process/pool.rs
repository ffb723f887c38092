//! What the workers of a pool have in common, and the thread that looks after them.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::ThreadId;

use tokio::runtime::Handle as Runtime;
use tokio::sync::Notify;

use super::child::Start;
use super::function::Request;
use super::reply::Reply;
use super::worker::{Either, Ended, Process, Worker, either};
use super::{BrokenProcess, BrokenProcessPool};
use crate::base_events::default_exception_handler;
use crate::events::ExceptionContext;
use crate::exceptions::{Exception, Result, RuntimeError};

/// A call that waits for a worker, for those who do not know the type of its value.
pub(super) trait Call: Send {
    fn request(&self) -> &Request;

    /// Whether the call is to be made now; whoever cancels it from then on kills the process.
    fn begin(&self, process: &Arc<Process>) -> bool;

    /// Ends the job; whether that was not done by cancelling it.
    fn end(&self, outcome: Result<Reply>) -> bool;
}

pub(super) struct Pool {
    pub(super) max_workers: usize,
    pub(super) max_calls: Option<usize>,
    pub(super) initializer: Option<Request>,
    pub(super) start: Start,
    state: Mutex<State>,
    call_or_end: Notify,
    slot_ended: Notify,
    thread_ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Box<dyn Call>>,
    /// Slots that wait and that nobody has called yet.
    idle: usize,
    /// Calls of slots that have not been heard.
    called: usize,
    /// Slots: each has a worker, or is about to start one, or waits until it needs one.
    slots: usize,
    processes: Vec<Arc<Process>>,
    /// The runtime that all slots run on, once there is one, and its thread.
    runtime: Option<(Runtime, ThreadId)>,
    has_ended: bool,
    is_shut: bool,
    broken: Option<BrokenProcessPool>,
}

impl Pool {
    pub(super) fn new(
        max_workers: usize,
        max_calls: Option<usize>,
        initializer: Option<Request>,
        start: Start,
    ) -> Self {
        Self {
            max_workers,
            max_calls,
            initializer,
            start,
            state: Mutex::new(State::default()),
            call_or_end: Notify::new(),
            slot_ended: Notify::new(),
            thread_ended: Condvar::new(),
        }
    }

    pub(super) fn execute(this: &Arc<Self>, call: Box<dyn Call>) -> Result<()> {
        let mut state = this.lock();
        if let Some(broken) = &state.broken {
            return Err(broken.clone().into());
        }
        if state.is_shut {
            return Err(RuntimeError::new("cannot schedule new futures after shutdown").into());
        }
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
            state.queue.push_back(call);
            drop(state);
            this.call_or_end.notify_one();
            return Ok(());
        }
        if state.slots < this.max_workers {
            let runtime = Self::runtime(this, &mut state)?;
            state.slots += 1;
            runtime.spawn(slot(Arc::clone(this)));
        }
        state.queue.push_back(call);
        Ok(())
    }

    /// The runtime of the pool's thread, which is started for the first call.
    fn runtime(this: &Arc<Self>, state: &mut State) -> Result<Runtime> {
        if let Some((runtime, _)) = &state.runtime {
            return Ok(runtime.clone());
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let pool = Arc::clone(this);
        let thread = std::thread::Builder::new()
            .name("asyncio-processes".to_owned())
            .spawn(move || {
                // Made here and dropped here: elsewhere a runtime may be in the way of another.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let handle = runtime.as_ref().map(|runtime| runtime.handle().clone());
                // The receiver waits for it.
                let _ = sender.send(handle.map_err(|error| error.kind()));
                if let Ok(runtime) = runtime {
                    runtime.block_on(pool.all_slots_ended());
                    drop(runtime);
                    pool.lock().has_ended = true;
                    pool.thread_ended.notify_all();
                }
            })?;
        let made = receiver.recv().unwrap_or(Err(io::ErrorKind::Other));
        let handle = made.map_err(io::Error::from)?;
        state.runtime = Some((handle.clone(), thread.thread().id()));
        Ok(handle)
    }

    async fn all_slots_ended(&self) {
        loop {
            let slot_ended = self.slot_ended.notified();
            {
                let state = self.lock();
                if state.is_shut && state.slots == 0 {
                    return;
                }
            }
            slot_ended.await;
        }
    }

    pub(super) fn shutdown(&self, cancel_futures: bool) {
        let mut state = self.lock();
        state.is_shut = true;
        let cancelled = if cancel_futures {
            std::mem::take(&mut state.queue)
        } else {
            VecDeque::new()
        };
        drop(state);
        self.call_or_end.notify_waiters();
        self.slot_ended.notify_one();
        // Dropping a call cancels its job, which may call anything.
        drop(cancelled);
    }

    /// Kills what runs.
    pub(super) fn kill(&self) {
        let processes = self.lock().processes.clone();
        processes.iter().for_each(|process| process.kill());
    }

    /// Blocks until every process has ended; not on the pool's own thread.
    pub(super) fn join(&self) {
        let mut state = self.lock();
        let here = std::thread::current().id();
        if state
            .runtime
            .as_ref()
            .is_none_or(|(_, thread)| *thread == here)
        {
            return;
        }
        while !state.has_ended {
            state = self
                .thread_ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.lock().processes.len()
    }

    /// Counts a slot as idle that is about to be, so that who hears of the end of its call finds it.
    fn is_idle(&self) -> bool {
        let mut state = self.lock();
        let is_idle = state.queue.is_empty() && !state.is_shut;
        state.idle += usize::from(is_idle);
        is_idle
    }

    /// The next call for a slot, which may have been counted as idle; `None` when there will be no more.
    /// A worker that ends meanwhile is taken away.
    async fn next(&self, worker: &mut Option<Worker>, mut is_idle: bool) -> Option<Box<dyn Call>> {
        loop {
            if !is_idle {
                let mut state = self.lock();
                if let Some(call) = state.queue.pop_front() {
                    return Some(call);
                }
                if state.is_shut {
                    return None;
                }
                state.idle += 1;
            }
            is_idle = false;
            loop {
                // It hears of everything that comes after this line.
                let called = self.call_or_end.notified();
                {
                    let mut state = self.lock();
                    if state.called > 0 {
                        state.called -= 1;
                        break;
                    }
                    if state.is_shut {
                        state.idle -= 1;
                        break;
                    }
                }
                let ended = async {
                    match worker {
                        Some(worker) => worker.ended().await,
                        None => pending().await,
                    }
                };
                if let Either::Second(()) = either(called, ended).await
                    && let Some(worker) = worker.take()
                {
                    self.end(worker).await;
                }
            }
        }
    }

    /// A worker that is ready for a call, started where there is none.
    async fn ready(&self, worker: Option<Worker>) -> Result<Worker> {
        match worker {
            Some(worker) if !worker.has_ended() => return Ok(worker),
            Some(worker) => {
                self.end(worker).await;
            }
            None => {}
        }
        let worker = Worker::spawn(self.start)?;
        self.lock().processes.push(Arc::clone(worker.process()));
        match worker.greeted().await {
            Ok(true) => {}
            Ok(false) => {
                worker.process().kill();
                self.end(worker).await;
                let text = "the program's file was replaced while the program runs";
                return Err(self.break_down(RuntimeError::new(text)));
            }
            Err(_) => {
                let Ended(status) = self.end(worker).await;
                let by_itself = status.is_some_and(|status| status.code().is_some());
                return Err(if by_itself {
                    let text = "the program ended without calling asyncio_core::init()";
                    self.break_down(RuntimeError::new(text))
                } else {
                    BrokenProcess::new(status).into()
                });
            }
        }
        self.initialize(worker).await
    }

    async fn initialize(&self, mut worker: Worker) -> Result<Worker> {
        let Some(initializer) = &self.initializer else {
            return Ok(worker);
        };
        let failure = match worker.call(initializer).await {
            Ok(reply) => reply.read::<()>().err(),
            Err(_) => {
                worker.process().kill();
                let Ended(status) = self.end(worker).await;
                return Err(self.break_down(BrokenProcess::new(status)));
            }
        };
        if let Some(exception) = failure {
            default_exception_handler(&ExceptionContext::new(
                "Exception in initializer:",
                Some(exception.clone()),
            ));
            self.end(worker).await;
            return Err(self.break_down(exception));
        }
        worker.calls = 0;
        Ok(worker)
    }

    async fn end(&self, worker: Worker) -> Ended {
        let process = Arc::clone(worker.process());
        let ended = worker.end().await;
        self.lock()
            .processes
            .retain(|known| !Arc::ptr_eq(known, &process));
        ended
    }

    /// No worker can be had: the pool takes no more calls, and those that wait fail.
    fn break_down(&self, source: impl Into<Exception>) -> Exception {
        let mut state = self.lock();
        let broken = state
            .broken
            .get_or_insert_with(|| BrokenProcessPool::new(source.into()))
            .clone();
        state.is_shut = true;
        let failed = std::mem::take(&mut state.queue);
        drop(state);
        self.call_or_end.notify_waiters();
        for call in failed {
            call.end(Err(broken.clone().into()));
        }
        broken.into()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is done for each worker, on the pool's thread: one call after the other.
async fn slot(pool: Arc<Pool>) {
    let _gone = SlotGone(&pool);
    let (mut worker, mut is_idle) = (None, false);
    while let Some(call) = pool.next(&mut worker, is_idle).await {
        match pool.ready(worker.take()).await {
            Ok(ready) => (worker, is_idle) = make(&pool, ready, call).await,
            Err(exception) => {
                is_idle = false;
                call.end(Err(exception));
            }
        }
    }
    if let Some(worker) = worker {
        pool.end(worker).await;
    }
}

/// Says that a slot is no more, also after a panic.
struct SlotGone<'a>(&'a Pool);

impl Drop for SlotGone<'_> {
    fn drop(&mut self) {
        self.0.lock().slots -= 1;
        self.0.slot_ended.notify_one();
    }
}

/// Has a worker make a call, and gives it back where it is good for another; and whether the slot has
/// been counted as idle.
async fn make(pool: &Pool, mut worker: Worker, call: Box<dyn Call>) -> (Option<Worker>, bool) {
    if !call.begin(worker.process()) {
        // It was cancelled while the worker was made ready.
        return (Some(worker), false);
    }
    match worker.call(call.request()).await {
        Ok(reply) if pool.max_calls.is_none_or(|most| worker.calls < most) => {
            let is_idle = pool.is_idle();
            if call.end(Ok(reply)) {
                return (Some(worker), is_idle);
            }
            // Who cancelled the call kills the process, perhaps only now.
            pool.end(worker).await;
            (None, is_idle)
        }
        Ok(reply) => {
            call.end(Ok(reply));
            pool.end(worker).await;
            (None, false)
        }
        Err(_) => {
            worker.process().kill();
            let Ended(status) = pool.end(worker).await;
            call.end(Err(BrokenProcess::new(status).into()));
            (None, false)
        }
    }
}
