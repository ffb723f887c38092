//! How a pool fares, and what it raises.

use std::fmt;
use std::time::Duration;

use asyncio_core::Exception;

/// How a pool fares, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    pub(super) size: usize,
    pub(super) idle: usize,
    pub(super) lent: usize,
    pub(super) recovering: usize,
    pub(super) waiting: usize,
    pub(super) acquired: u64,
    pub(super) opened: u64,
    pub(super) recovered: u64,
    pub(super) lost: u64,
}

impl PoolStats {
    /// How many connections there are in all, those that are being opened among them.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// How many are not lent.
    #[must_use]
    pub const fn idle(&self) -> usize {
        self.idle
    }

    /// How many are lent.
    #[must_use]
    pub const fn lent(&self) -> usize {
        self.lent
    }

    /// How many have come back and are being put right.
    #[must_use]
    pub const fn recovering(&self) -> usize {
        self.recovering
    }

    /// How many wait for one.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How often one was lent so far.
    #[must_use]
    pub const fn acquired(&self) -> u64 {
        self.acquired
    }

    /// How many were opened so far.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// How many had to be put right so far, when they came back.
    #[must_use]
    pub const fn recovered(&self) -> u64 {
        self.recovered
    }

    /// How many could not be put right so far, or had ended by themselves.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

/// No connection was to be had in time.
#[derive(Clone, Debug)]
pub struct PoolTimeoutError {
    pub(super) after: Duration,
    pub(super) stats: PoolStats,
    pub(super) last_connect_error: Option<Exception>,
}

impl PoolTimeoutError {
    /// How the pool fared then.
    #[must_use]
    pub const fn stats(&self) -> &PoolStats {
        &self.stats
    }

    /// Why the last attempt to open a connection failed, if the last one did.
    #[must_use]
    pub const fn last_connect_error(&self) -> Option<&Exception> {
        self.last_connect_error.as_ref()
    }
}

impl fmt::Display for PoolTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolStats {
            size,
            idle,
            lent,
            recovering,
            waiting,
            ..
        } = self.stats;
        write!(
            f,
            "no connection was to be had within {:?}: of {size} {lent} are lent, {recovering} are being \
             put right and {idle} are idle, and {waiting} wait",
            self.after
        )
    }
}

impl std::error::Error for PoolTimeoutError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.last_connect_error.as_ref().map(Exception::as_error)
    }
}

/// The pool lends no more connections.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_db::pg::{PoolClosedError, create_pool};
///
/// asyncio_core::run(async move {
///     let pool = create_pool(dsn).min_size(1).await?;
///     pool.close().await?;
///     let error = pool.acquire().await.expect_err("it is closed");
///     assert!(error.is::<PoolClosedError>());
///     assert_eq!(error.to_string(), "pool is closed");
///     Ok(())
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pool is {}", if self.closing { "closing" } else { "closed" })]
pub struct PoolClosedError {
    /// Those that were lent by then are waited for.
    pub(super) closing: bool,
}
