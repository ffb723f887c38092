//! Tasks on a tokio runtime: there a tokio task polls each of ours.

use std::future::Future as StdFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as PollContext, Poll};

use tokio::runtime::Handle as Runtime;

use super::handle::TaskHandle;
use super::task::{Numbering, Task, TaskBuilder};
use crate::cell::{self, TaskRef, Typed};
use crate::debug;
use crate::events::ExceptionContext;
use crate::exceptions::Result;
use crate::runners::workers::{self, Workers};

impl TaskBuilder {
    /// Starts a task that a tokio task polls.
    pub(super) fn start_driven<T, F>(self, runtime: Option<&Runtime>, future: F) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        if let Some(runtime) = runtime
            && let Some(workers) = workers::of(runtime)
        {
            return self.start_on_workers(runtime, workers, future, false);
        }
        let eager = self.eager;
        let inner = Typed::task(None, future, self.parts(Numbering::None, true));
        if let Some(task) = inner.as_task() {
            let driven = Driven(task.clone_new());
            if eager {
                cell::start_eagerly(None, task);
            }
            if !task.base.is_done() {
                match runtime {
                    Some(runtime) => drop(runtime.spawn(driven)),
                    None => drop(tokio::spawn(driven)),
                }
            }
        }
        Task::of(inner)
    }

    /// Starts a task on the threads of a runner, which knows of it. `is_main`: the runner takes its
    /// exception as it comes, whatever it is.
    pub(crate) fn start_on_workers<T, F>(
        self,
        runtime: &Runtime,
        workers: Arc<Workers>,
        future: F,
        is_main: bool,
    ) -> Task<T>
    where
        F: StdFuture<Output = Result<T>> + 'static,
        T: 'static,
    {
        let (eager, number) = (self.eager, workers.count());
        let parts = self.parts(Numbering::Workers(&workers), true);
        let inner = Typed::task(None, future, parts);
        if let Some(task) = inner.as_task() {
            workers.add(number, task);
            if eager {
                cell::start_eagerly(None, task);
            }
            if task.base.is_done() {
                workers.ended(number, task);
            } else {
                runtime.spawn(Registered {
                    driven: Driven(task.clone()),
                    number,
                    is_main,
                    workers,
                });
            }
        }
        Task::of(inner)
    }
}

/// What tokio polls for a task of ours that has no loop.
struct Driven(TaskRef);

impl StdFuture for Driven {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<()> {
        if cell::step_driven(&self.0, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        // Without effect on a task that has ended; the end of the runtime leaves others.
        cell::drop_unfinished(None, &self.0);
    }
}

/// The same for a task of a runner, with its place there.
struct Registered {
    driven: Driven,
    number: u64,
    is_main: bool,
    workers: Arc<Workers>,
}

impl StdFuture for Registered {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<()> {
        let Self {
            driven,
            number,
            is_main,
            workers,
        } = &mut *self;
        let polled = if workers.debug {
            let task = driven.0.clone();
            debug::step(&task, || Pin::new(&mut *driven).poll(cx))
        } else {
            Pin::new(&mut *driven).poll(cx)
        };
        if polled.is_ready() {
            if *is_main {
                workers.remove(*number);
            } else {
                workers.ended(*number, &driven.0);
            }
        }
        polled
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let task = &self.driven.0;
        if !task.base.is_done() {
            // The runtime ends; the coroutine is dropped next.
            self.workers.remove(self.number);
            let context = ExceptionContext::new("Task was destroyed but it is pending!", None)
                .with_task(&TaskHandle::of(task.clone()));
            self.workers.call_exception_handler(&context);
        }
    }
}
