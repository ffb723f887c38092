//! `connect`.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::{FutureExt, Result, RuntimeError};
use tokio::runtime::Handle;

use super::config::{Config, IntoConfig};
use super::connection::{Connection, limited};
use super::introspection::Types;
use super::link::Link;
use super::logging::Loggers;
use super::notices::Notices;
use super::protocol;
use super::statement::{CacheLimits, StatementNames, Statements};
use super::target::{SslMode, Target};

/// Opens a session (`asyncpg.connect`), with what a DSN says, or a [`Config`] in the place of Python's
/// keyword arguments.
///
/// ```
/// # #[cfg(feature = "testing")]
/// # fn main() -> asyncio_core::Result<()> {
/// # let cluster = asyncio_db::testing::PgCluster::create()?;
/// # let dsn = cluster.dsn();
/// use asyncio_db::pg::connect;
/// use std::time::Duration;
///
/// asyncio_core::run(async move {
///     let mut connection = connect(dsn)
///         .timeout(Duration::from_secs(5))
///         .command_timeout(Duration::from_secs(60))
///         .server_setting("application_name", "an example")
///         .await?;
///     let name: Option<String> = connection.fetchval("SHOW application_name", ()).await?;
///     assert_eq!(name.as_deref(), Some("an example"));
///     connection.close().await
/// })
/// # }
/// # #[cfg(not(feature = "testing"))]
/// # fn main() {}
/// ```
///
/// # Errors
///
/// [`ClientConfigurationError`](crate::ClientConfigurationError) when it cannot be told what to do; what
/// the server has against it; an [`io::Error`](std::io::Error) where none is reached;
/// [`TimeoutError`](asyncio_core::TimeoutError) after the [time limit](ConnectBuilder::timeout).
///
/// # Cancel safety
///
/// A session that was being opened is closed.
pub fn connect(server: impl IntoConfig) -> ConnectBuilder {
    ConnectBuilder {
        config: server.into_config(),
        options: Options::default(),
    }
}

/// What [`connect`] is told by methods; awaiting it connects.
#[derive(Clone, Debug)]
#[must_use = "it connects when it is awaited"]
pub struct ConnectBuilder {
    pub(crate) config: Config,
    pub(crate) options: Options,
}

/// What a connection is told beside where its server is.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) command_timeout: Option<Duration>,
    pub(crate) cancel_timeout: Duration,
    pub(crate) cache: CacheLimits,
    pub(crate) password: Option<PasswordFunction>,
}

type PasswordFuture = Pin<Box<dyn Future<Output = Result<String>> + Send>>;

/// A function that is asked for a password.
#[derive(Clone)]
pub(crate) struct PasswordFunction(Arc<dyn Fn() -> PasswordFuture + Send + Sync>);

impl PasswordFunction {
    pub(crate) async fn ask(&self) -> Result<String> {
        (self.0)().await
    }
}

impl fmt::Debug for PasswordFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordFunction")
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            command_timeout: None,
            cancel_timeout: Duration::from_secs(5),
            cache: CacheLimits::default(),
            password: None,
        }
    }
}

impl ConnectBuilder {
    /// How long it may take to open the session, 60 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config = self.config.timeout(timeout);
        self
    }

    /// How long each operation may take; as long as it takes by default.
    pub const fn command_timeout(mut self, timeout: Duration) -> Self {
        self.options.command_timeout = Some(timeout);
        self
    }

    /// How long the server has to stop what was cancelled, 5 seconds by default. A session that takes
    /// longer is closed.
    pub const fn cancel_timeout(mut self, timeout: Duration) -> Self {
        self.options.cancel_timeout = timeout;
        self
    }

    /// How many prepared statements are kept, 100 by default; none, if zero.
    pub const fn statement_cache_size(mut self, size: usize) -> Self {
        self.options.cache.size = size;
        self
    }

    /// How long a prepared statement is kept, five minutes by default; `None` for always.
    pub const fn max_cached_statement_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.options.cache.lifetime = lifetime;
        self
    }

    /// How long a query may be for its statement to be kept, 15 KiB by default.
    pub const fn max_cacheable_statement_size(mut self, bytes: usize) -> Self {
        self.options.cache.longest_query = bytes;
        self
    }

    /// Whether statements are prepared under names.
    pub const fn statement_names(mut self, names: StatementNames) -> Self {
        self.options.cache.names = names;
        self
    }

    /// Whether the session is encrypted, and what the server has to prove.
    pub fn ssl(mut self, mode: SslMode) -> Self {
        self.config = self.config.ssl(mode);
        self
    }

    /// A setting of the server's, for this session.
    pub fn server_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config = self.config.server_setting(name, value);
        self
    }

    /// A function that is asked for the password whenever a session is opened, for passwords that change.
    ///
    /// ```
    /// # #[cfg(feature = "testing")]
    /// # fn main() -> asyncio_core::Result<()> {
    /// # let cluster = asyncio_db::testing::PgCluster::create()?;
    /// # let dsn = cluster.dsn();
    /// asyncio_core::run(async move {
    ///     let connection = asyncio_db::pg::connect(dsn)
    ///         .password_fn(async || {
    ///             asyncio_core::sleep(0.001).await?; // a token is asked for
    ///             Ok("secret".to_owned())
    ///         })
    ///         .await?;
    ///     connection.close().await
    /// })
    /// # }
    /// # #[cfg(not(feature = "testing"))]
    /// # fn main() {}
    /// ```
    pub fn password_fn<F, Fut>(mut self, function: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String>> + Send + 'static,
    {
        let function = move || -> PasswordFuture { Box::pin(function()) };
        self.options.password = Some(PasswordFunction(Arc::new(function)));
        self
    }

    /// Finds out about everything, from the environment and from files.
    pub(crate) fn target(&self) -> Result<Target> {
        let mut target = Target::of(&self.config)?;
        target.password.clone_from(&self.options.password);
        Ok(target)
    }

    pub(crate) async fn open(self) -> Result<Connection> {
        let target = Arc::new(self.target()?);
        let types = Arc::default();
        limited(target.timeout(), open(&target, &self.options, &types)).await
    }
}

/// Opens a session, however long that takes.
///
/// # Errors
///
/// As of [`connect`].
pub(crate) async fn open(
    target: &Arc<Target>,
    options: &Options,
    types: &Arc<Types>,
) -> Result<Connection> {
    let runtime = Handle::try_current().map_err(|_| RuntimeError::new("no running event loop"))?;
    let notices = Arc::new(Notices::default());
    let session = protocol::start(target, &notices).cancellable().await??;
    Ok(Connection {
        link: Link::new(
            session,
            Arc::clone(target),
            notices,
            runtime,
            options.cancel_timeout,
        ),
        statements: Statements::new(options.cache, Arc::clone(types)),
        command_timeout: options.command_timeout,
        depth: 0,
        isolation: None,
        last_number: 0,
        loggers: Loggers::default(),
    })
}

impl IntoFuture for ConnectBuilder {
    type Output = Result<Connection>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<Connection>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}
