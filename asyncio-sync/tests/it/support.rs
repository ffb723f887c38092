//! What the tests share.

use std::cell::RefCell;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use asyncio_core::{Exception, Result, Runner, sleep};

/// Runs a program on a loop whose clock jumps.
pub(crate) fn run_virtual<T: 'static>(
    main: impl Future<Output = Result<T>> + 'static,
) -> Result<T> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    let result = runner.run(main);
    runner.close()?;
    result
}

/// Gives way a number of times.
pub(crate) async fn turns(count: usize) -> Result<()> {
    for _ in 0..count {
        sleep(0).await?;
    }
    Ok(())
}

/// What happened, in order.
#[derive(Clone, Debug)]
pub(crate) struct Log<T>(Rc<RefCell<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<T: Clone> Log<T> {
    pub(crate) fn add(&self, entry: T) {
        self.0.borrow_mut().push(entry);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.borrow().clone()
    }
}

/// Whether a result is this kind of error.
#[track_caller]
pub(crate) fn fails_with<E: std::error::Error + 'static>(
    result: Result<impl Debug, impl Into<Exception>>,
) -> bool {
    match result {
        Ok(value) => panic!("{value:?} where an error was expected"),
        Err(error) => error.into().is::<E>(),
    }
}

/// Whether a result is a cancellation.
#[track_caller]
pub(crate) fn is_cancelled(result: Result<impl Debug, impl Into<Exception>>) -> bool {
    fails_with::<asyncio_core::CancelledError>(result)
}

/// Polls a future once, outside of any task.
pub(crate) fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
