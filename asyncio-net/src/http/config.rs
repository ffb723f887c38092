//! How long a request may take, and how many there may be (`httpx._config`).

use std::time::Duration;

use asyncio_core::MaybeDelay;

use crate::TlsClient;

/// How long each part of a request may take (`httpx.Timeout`).
///
/// | limit | what it measures | error |
/// | --- | --- | --- |
/// | `pool` | the wait until [`Limits`] allow another request | `PoolTimeout` |
/// | `connect` | name, connection, TLS and proxy together | `ConnectTimeout` |
/// | `write` | from one part of the body that the connection took to the next | `WriteTimeout` |
/// | `read` | from the end of the request to the response's head, and from one piece of its body to the next | `ReadTimeout` |
/// | `total` | all of it, with the wait, redirects and the body | `TotalTimeout` |
///
/// Each holds for each request; all of them may be given with the client and with a request.
///
/// ```
/// use asyncio_net::http::Timeout;
/// use std::time::Duration;
///
/// let timeout = Timeout::new(20.0).connect(5).total(None);
/// assert_eq!(timeout.connect, Some(Duration::from_secs(5)));
/// assert_eq!(timeout.read, Some(Duration::from_secs(20)));
/// ```
///
/// # asyncio
///
/// httpx has no `total`; it is none by default. What a body's last 64 KiB need to leave this machine counts as
/// `read`, because they are handed over at once; so does a body of no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeout {
    /// For connecting.
    pub connect: Option<Duration>,
    /// For each piece that is read.
    pub read: Option<Duration>,
    /// For each piece that is written.
    pub write: Option<Duration>,
    /// For the wait until there may be another request.
    pub pool: Option<Duration>,
    /// For all of it.
    pub total: Option<Duration>,
}

/// How many requests may be under way, and how many connections are kept (`httpx.Limits`).
///
/// What is counted is connections in use: from the moment a request may go to the end of its response's
/// body, or until that is dropped. Those that lie idle are apart, and are never in the way of another host. Of
/// HTTP/2, where one connection carries many requests, each request counts.
///
/// ```
/// use asyncio_net::http::Limits;
///
/// let limits = Limits::new().max_connections(10).max_connections_per_host(2);
/// assert_eq!(limits.max_connections, Some(10));
/// ```
///
/// # asyncio
///
/// httpx counts idle connections too, and has no limit per host, which is aiohttp's. `max_keepalive_connections` is
/// for each host, because it is reqwest that keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// So many at a time.
    pub max_connections: Option<usize>,
    /// So many at a time to one host (its scheme, name and port).
    pub max_connections_per_host: Option<usize>,
    /// So many idle ones are kept for each host.
    pub max_keepalive_connections: Option<usize>,
    /// So long they are kept.
    pub keepalive_expiry: Option<Duration>,
}

/// Whom a client trusts (`verify=` of httpx).
///
/// Made of a [`TlsClient`], or of a `bool`: with `false` nobody is verified.
#[derive(Clone, Debug)]
pub struct Verify(pub(crate) Verifies);

#[derive(Clone, Debug)]
pub(crate) enum Verifies {
    Authorities,
    Nobody,
    With(TlsClient),
}

impl Timeout {
    /// The same for connecting, reading, writing and the wait.
    ///
    /// A number that is none counts as nothing: the request fails at once.
    #[must_use]
    pub fn new(all: impl Into<MaybeDelay>) -> Self {
        let all = duration(all);
        Self {
            connect: all,
            read: all,
            write: all,
            pool: all,
            total: None,
        }
    }

    /// No limits.
    #[must_use]
    pub const fn disabled() -> Self {
        Self {
            connect: None,
            read: None,
            write: None,
            pool: None,
            total: None,
        }
    }

    /// Sets the limit for connecting.
    #[must_use]
    pub fn connect(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.connect = duration(delay);
        self
    }

    /// Sets the limit for each piece that is read.
    #[must_use]
    pub fn read(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.read = duration(delay);
        self
    }

    /// Sets the limit for each piece that is written.
    #[must_use]
    pub fn write(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.write = duration(delay);
        self
    }

    /// Sets the limit for the wait until there may be another request.
    #[must_use]
    pub fn pool(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.pool = duration(delay);
        self
    }

    /// Sets the limit for all of it.
    #[must_use]
    pub fn total(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.total = duration(delay);
        self
    }
}

impl Default for Timeout {
    /// Five seconds for each part, as in httpx.
    fn default() -> Self {
        Self::new(5)
    }
}

impl From<f64> for Timeout {
    fn from(seconds: f64) -> Self {
        Self::new(seconds)
    }
}

impl From<i32> for Timeout {
    fn from(seconds: i32) -> Self {
        Self::new(seconds)
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        Self::new(duration)
    }
}

impl From<Option<Self>> for Timeout {
    /// `None` is no limits.
    fn from(timeout: Option<Self>) -> Self {
        timeout.unwrap_or(Self::disabled())
    }
}

impl Limits {
    /// 100 connections, 20 kept for each host, for four seconds.
    ///
    /// Four, because many servers close what is idle after five: a connection is not used at the moment
    /// when it goes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max_connections: Some(100),
            max_connections_per_host: None,
            max_keepalive_connections: Some(20),
            keepalive_expiry: Some(Duration::from_secs(4)),
        }
    }

    /// No limits.
    #[must_use]
    pub const fn disabled() -> Self {
        Self {
            max_connections: None,
            max_connections_per_host: None,
            max_keepalive_connections: None,
            keepalive_expiry: None,
        }
    }

    /// Sets how many there may be at a time.
    #[must_use]
    pub fn max_connections(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_connections = most.into();
        self
    }

    /// Sets how many there may be at a time to one host.
    #[must_use]
    pub fn max_connections_per_host(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_connections_per_host = most.into();
        self
    }

    /// Sets how many idle ones are kept for each host; none with 0.
    #[must_use]
    pub fn max_keepalive_connections(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_keepalive_connections = most.into();
        self
    }

    /// Sets how long idle ones are kept.
    #[must_use]
    pub fn keepalive_expiry(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.keepalive_expiry = duration(delay);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl From<bool> for Verify {
    fn from(verify: bool) -> Self {
        Self(if verify {
            Verifies::Authorities
        } else {
            Verifies::Nobody
        })
    }
}

impl From<TlsClient> for Verify {
    fn from(tls: TlsClient) -> Self {
        Self(Verifies::With(tls))
    }
}

/// What is not a number, or less than nothing, is nothing.
pub(crate) fn duration(delay: impl Into<MaybeDelay>) -> Option<Duration> {
    let seconds = delay.into().seconds()?;
    if seconds == f64::INFINITY {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
