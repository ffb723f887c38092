//! What the tests share.

use std::fmt::Debug;
use std::time::Duration;

use asyncio_core::{Exception, Result, create_task, run};
use asyncio_db::pg::{ConnectBuilder, Connection, connect};

/// Runs a test on an event loop of ours, and then on a tokio runtime with two threads.
///
/// None may take longer than two minutes: a test that hangs fails.
#[track_caller]
pub(crate) fn everywhere<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Server) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let Some(server) = server() else {
        return Ok(());
    };
    let on_a_loop = test(server.clone());
    run(async { in_time(on_a_loop).await }).inspect_err(|error| {
        error.add_note("on an event loop");
    })?;
    on_tokio(test(server)).inspect_err(|error| error.add_note("on a tokio runtime"))
}

/// Runs a test in a task of ours on a tokio runtime with two threads.
pub(crate) fn on_tokio(test: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async { create_task(in_time(test)).await })
}

async fn in_time<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    let Ok(result) = tokio::time::timeout(Duration::from_secs(120), test).await else {
        panic!("the test hangs");
    };
    result
}

/// A server to test with.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    dsn: String,
}

impl Server {
    pub(crate) fn connect(&self) -> ConnectBuilder {
        connect(&self.dsn)
    }

    pub(crate) async fn connection(&self) -> Result<Connection> {
        self.connect().await
    }
}

pub(crate) fn server() -> Option<Server> {
    let dsn = std::env::var("ASYNCIO_DB_TEST_DSN").ok()?;
    Some(Server { dsn })
}

#[track_caller]
pub(crate) fn error_of<E: std::error::Error + 'static>(result: Result<impl Debug>) -> Exception {
    let error = result.expect_err("an error was expected");
    assert!(error.is::<E>(), "{error:?}");
    error
}
