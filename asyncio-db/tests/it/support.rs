//! What the tests share.

use std::fmt::Debug;
use std::io::Write;
use std::time::Duration;

use asyncio_core::{Exception, Result, create_task, run};
use asyncio_db::pg::{ConnectBuilder, Connection, connect};
use asyncio_db::testing::{ClusterError, PgCluster};

/// Runs a test on an event loop of ours, and then on a tokio runtime with two threads.
///
/// None may take longer than two minutes: a test that hangs fails.
#[track_caller]
pub(crate) fn everywhere<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Server) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let Some(cluster) = cluster() else {
        return Ok(());
    };
    let database = cluster.create_database()?;
    let server = Server {
        database: database.name().to_owned(),
        cluster,
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

/// A server to test with, and a database of the test's own.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    database: String,
    pub(crate) cluster: &'static PgCluster,
}

impl Server {
    /// By the Unix socket, as the administrator.
    pub(crate) fn connect(&self) -> ConnectBuilder {
        connect(self.cluster.dsn_of("postgres", &self.database))
    }

    pub(crate) async fn connection(&self) -> Result<Connection> {
        self.connect().await
    }
}

/// Whether what is missing is a failure.
pub(crate) fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|ci| !matches!(&*ci, "" | "0" | "false"))
}

/// The cluster of all tests. Where there is no PostgreSQL the tests are passed over and say so; with
/// `CI=true` in the environment that is a failure.
pub(crate) fn cluster() -> Option<&'static PgCluster> {
    match PgCluster::shared() {
        Ok(cluster) => Some(cluster),
        Err(ClusterError::NotFound) if !in_ci() => {
            // Written where a person who runs the tests sees it, passed or not.
            let mut out = std::io::stderr();
            let _ = writeln!(out, "skipped: {}", ClusterError::NotFound);
            None
        }
        Err(error) => panic!("there is no server to test with: {error:?}"),
    }
}

#[track_caller]
pub(crate) fn error_of<E: std::error::Error + 'static>(result: Result<impl Debug>) -> Exception {
    let error = result.expect_err("an error was expected");
    assert!(error.is::<E>(), "{error:?}");
    error
}

/// Waits, turn by turn, until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) -> Result<()> {
    while !so() {
        asyncio_core::sleep(0.001).await?;
    }
    Ok(())
}

/// Numbers that look random and are the same each time (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below this.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// So many times a test is done: the number given, times what the environment says
/// (`ASYNCIO_DB_SCALE`, 1 by default).
pub(crate) fn scaled(small: usize) -> usize {
    let scale = std::env::var("ASYNCIO_DB_SCALE").ok();
    let scale = scale.and_then(|scale| scale.parse().ok()).unwrap_or(1);
    small * scale
}
