//! Where a server is, who opens a session, and how: what asyncpg and libpq are told, and where from.

mod dsn;
mod hosts;
mod pgpass;
mod resolve;
mod service;
mod surroundings;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::hosts::HostSpec;
use self::surroundings::Surroundings;
use super::target::SslMode;
use crate::ClientConfigurationError;

/// What a client is told about its server (the arguments of `asyncpg.connect`).
///
/// Each parameter is taken from the first of these that has it:
///
/// 1. the methods of this type, asyncpg's keyword arguments;
/// 2. the DSN: a URL (`postgresql://user:password@host:port/database?parameter=value`) or libpq's
///    `host=… port=… dbname=…`;
/// 3. the service file, where a service is named (`service`, `PGSERVICE`);
/// 4. the environment: `PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGPASSFILE`, `PGSERVICEFILE`,
///    `PGTARGETSESSIONATTRS`, `PGSSLMODE` and the others of TLS, `PGCONNECT_TIMEOUT`, `PGAPPNAME`, `PGOPTIONS`,
///    `PGLOADBALANCEHOSTS`;
/// 5. a default.
///
/// A password that none of them has is looked up in the password file, `~/.pgpass` by default. Values that
/// are empty count as missing. Parameters of a DSN that nobody here knows are settings for the server,
/// as with asyncpg.
///
/// What is wrong with any of them is told by [`resolve`](Self::resolve), which is part of connecting.
///
/// ```
/// use asyncio_db::pg::{Address, Config};
///
/// let config = Config::from_dsn("postgresql://me:secret@db.example.org/app?application_name=it")
///     .port(5433)
///     .server_setting("search_path", "app");
/// let parameters = config.resolve()?;
/// let servers: Vec<&Address> = parameters.servers.iter().map(|server| &server.address).collect();
/// assert_eq!(
///     servers,
///     [&Address::Tcp { host: "db.example.org".to_owned(), port: 5433 }]
/// );
/// assert_eq!(parameters.user, "me");
/// assert_eq!(parameters.server_settings["application_name"], "it");
/// assert!(!format!("{config:?} {parameters:?}").contains("secret"));
/// # Ok::<(), asyncio_db::ClientConfigurationError>(())
/// ```
///
/// # asyncio
///
/// These are as in libpq where asyncpg differs from it: a password belongs to its host and is not tried
/// at others; escapes in the password file are undone before they are compared; `PGSERVICE` is looked
/// at, and a service that is not defined is an error; a `port` among the parameters of a URL counts where
/// its host has none.
#[derive(Clone)]
pub struct Config {
    keywords: Params,
    /// asyncpg's list of ports, which is to fit the list of hosts.
    ports: Option<Vec<u16>>,
    dsn: Result<Params, ClientConfigurationError>,
    timeout: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            keywords: Params::default(),
            ports: None,
            dsn: Ok(Params::default()),
            timeout: None,
        }
    }
}

impl Config {
    /// Nothing is told: all comes from the environment and the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what a DSN says.
    #[must_use]
    pub fn from_dsn(dsn: &str) -> Self {
        Self {
            dsn: dsn::parse(dsn),
            ..Self::default()
        }
    }

    /// The host, as a name, an address, or the folder of a Unix socket.
    #[must_use]
    pub fn host(self, host: impl Into<String>) -> Self {
        self.hosts([host])
    }

    /// The hosts, which are tried one after the other.
    #[must_use]
    pub fn hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().map(|host| HostSpec {
            host: host.into(),
            port: None,
        });
        self.keywords.hosts = Some(hosts.collect());
        self
    }

    /// The port, of all hosts.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.ports([port])
    }

    /// The ports, one for each host.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports = Some(ports.into_iter().collect());
        self
    }

    /// Whether the session is encrypted, and what the server has to prove.
    #[must_use]
    pub fn ssl(self, mode: SslMode) -> Self {
        self.keyword("sslmode", mode.name())
    }

    /// Whether TLS begins at once, without asking the server first, which PostgreSQL 17 can
    /// (`direct_tls`).
    #[must_use]
    pub fn direct_tls(self, direct: bool) -> Self {
        self.keyword("sslnegotiation", if direct { "direct" } else { "postgres" })
    }

    /// Which of several servers is good enough.
    #[must_use]
    pub fn target_session_attrs(self, attrs: SessionAttrs) -> Self {
        self.keyword("target_session_attrs", attrs.name())
    }

    /// A setting of the server's for the session.
    #[must_use]
    pub fn server_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.keywords.settings.insert(name.into(), value.into());
        self
    }

    /// How long it may take to open a session, 60 seconds by default.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether hosts are tried in a random order (`load_balance_hosts`).
    #[must_use]
    pub fn load_balance_hosts(self, random: bool) -> Self {
        self.keyword(
            "load_balance_hosts",
            if random { "random" } else { "disable" },
        )
    }

    /// Finds out about every parameter: reads the environment, and the files that are needed.
    ///
    /// # Errors
    ///
    /// What is wrong with a parameter, a file that is missing or that others may read. No error says
    /// anything of what came from a DSN, for it may be a password that was written wrongly.
    pub fn resolve(&self) -> Result<ConnectionParameters, ClientConfigurationError> {
        resolve::resolve(self, &Surroundings::real())
    }

    fn keyword(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.keywords.values.insert(name.to_owned(), value.into());
        self
    }
}

/// The keyword arguments that are texts.
macro_rules! keywords {
    ($($name:ident $parameter:literal $what:literal)*) => {
        impl Config {
            $(
                #[doc = $what]
                #[must_use]
                pub fn $name(self, $name: impl Into<String>) -> Self {
                    self.keyword($parameter, $name)
                }
            )*
        }
    };
}

keywords! {
    user "user" "The role; the name of the account by default."
    password "password" "The role's password."
    database "dbname" "The database; named as the role by default."
    passfile "passfile" "The password file."
    service "service" "The section of the service file."
    servicefile "servicefile" "The service file."
    sslrootcert "sslrootcert" "The file of the authorities to trust; `system` for those that are trusted in general."
    sslcert "sslcert" "The file of the client's certificate."
    sslkey "sslkey" "The file of the certificate's key."
    sslpassword "sslpassword" "The password of the key."
    sslcrl "sslcrl" "The file of certificates that were revoked."
    krbsrvname "krbsrvname" "The name of the server for Kerberos."
    gsslib "gsslib" "The library for Kerberos: `gssapi` or `sspi`."
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Config");
        shown.field("keywords", &self.keywords);
        if let Some(ports) = &self.ports {
            shown.field("ports", ports);
        }
        shown.field("dsn", &self.dsn);
        if let Some(timeout) = &self.timeout {
            shown.field("timeout", timeout);
        }
        shown.finish()
    }
}

/// What a session is to be opened with: a DSN, or a [`Config`].
pub trait IntoConfig {
    /// The configuration.
    fn into_config(self) -> Config;
}

impl IntoConfig for Config {
    fn into_config(self) -> Config {
        self
    }
}

impl IntoConfig for &Config {
    fn into_config(self) -> Config {
        self.clone()
    }
}

impl IntoConfig for &str {
    fn into_config(self) -> Config {
        Config::from_dsn(self)
    }
}

impl IntoConfig for String {
    fn into_config(self) -> Config {
        Config::from_dsn(&self)
    }
}

impl IntoConfig for &String {
    fn into_config(self) -> Config {
        Config::from_dsn(self)
    }
}

/// All that it takes to open a session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionParameters {
    /// The servers, in the order in which they are tried; at least one.
    pub servers: Vec<Server>,
    /// Whether they are to be tried in a random order instead.
    pub load_balance_hosts: bool,
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// Settings of the server's for the session.
    pub server_settings: BTreeMap<String, String>,
    /// Which of several servers is good enough.
    pub target_session_attrs: SessionAttrs,
    /// Encryption, which concerns servers that are reached by TCP only.
    pub tls: TlsParameters,
    /// The name of the server for Kerberos.
    pub krbsrvname: Option<String>,
    /// The library for Kerberos.
    pub gsslib: String,
    /// How long it may take to open a session; `None` for as long as it takes.
    pub timeout: Option<Duration>,
}

/// A server, and the password for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Server {
    /// Where it is.
    pub address: Address,
    /// The password, where one is known.
    pub password: Option<Secret>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// At a port of a host.
    Tcp {
        /// The host's name or address.
        host: String,
        /// The port.
        port: u16,
    },
    /// At a Unix socket.
    Unix(PathBuf),
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a session is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsParameters {
    /// Whether it is, and what the server has to prove.
    pub mode: SslMode,
    /// Whether TLS begins at once, without asking the server first.
    pub direct: bool,
    /// Who may vouch for the server's certificate.
    pub roots: RootCertificates,
    /// The file of the client's certificate.
    pub certificate: Option<PathBuf>,
    /// The file of the certificate's key.
    pub key: Option<PathBuf>,
    /// The password of the key.
    pub key_password: Option<Secret>,
    /// The file of certificates that were revoked.
    pub revoked: Option<PathBuf>,
    /// The oldest version of TLS that will do.
    pub min_version: Option<TlsVersion>,
    /// The newest version of TLS that will do.
    pub max_version: Option<TlsVersion>,
    /// Whether the server is told by which name it is called.
    pub server_name_indication: bool,
    /// Whether a password is bound to the encrypted channel.
    pub channel_binding: ChannelBinding,
}

/// Who may vouch for a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RootCertificates {
    /// It is not asked for.
    Unverified,
    /// The authorities in a file.
    File(PathBuf),
    /// The authorities that are trusted in general (`sslrootcert=system`).
    System,
}

/// Declares the values of a parameter, with their names.
macro_rules! choices {
    ($(#[$doc:meta])* $kind:ident { $($(#[$value_doc:meta])* $value:ident $name:literal)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$value_doc])* $value,)*
        }

        impl $kind {
            /// What it is called among parameters.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)*
                }
            }

            /// All of them.
            const NAMES: &'static str = concat!($(" ", $name),*);

            fn parse(parameter: &str, text: &str) -> Result<Self, ClientConfigurationError> {
                match text {
                    $($name => Ok(Self::$value),)*
                    _ => Err(ClientConfigurationError::new(format!(
                        "the parameter {parameter} must be one of:{}",
                        Self::NAMES
                    ))),
                }
            }
        }
    };
}

choices! {
    /// Which of several servers is good enough (`target_session_attrs`).
    SessionAttrs {
        /// Any that lets one in.
        Any "any"
        /// One that is no standby.
        Primary "primary"
        /// One that is a standby.
        Standby "standby"
        /// A standby if there is one, or else any.
        PreferStandby "prefer-standby"
        /// One whose sessions may write by default.
        ReadWrite "read-write"
        /// One whose sessions may not.
        ReadOnly "read-only"
    }
}

choices! {
    /// A version of TLS.
    TlsVersion {
        /// TLS 1.0
        Tls10 "TLSv1"
        /// TLS 1.1
        Tls11 "TLSv1.1"
        /// TLS 1.2
        Tls12 "TLSv1.2"
        /// TLS 1.3
        Tls13 "TLSv1.3"
    }
}

choices! {
    /// Whether a password is bound to the encrypted channel, so that nobody in between can use it
    /// (`channel_binding`).
    ChannelBinding {
        /// It is not.
        Disable "disable"
        /// Where the server can.
        Prefer "prefer"
        /// It is, or there is no session.
        Require "require"
    }
}

/// Parameters by their names, as one source tells them.
#[derive(Clone, Default)]
struct Params {
    values: BTreeMap<String, String>,
    hosts: Option<Vec<HostSpec>>,
    settings: BTreeMap<String, String>,
}

impl Params {
    /// A parameter, if it is not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_map();
        for (name, value) in &self.values {
            match &**name {
                "password" | "sslpassword" => shown.entry(name, &Secret::new(value)),
                _ => shown.entry(name, value),
            };
        }
        if let Some(hosts) = &self.hosts {
            shown.entry(&"hosts", hosts);
        }
        for (name, value) in &self.settings {
            shown.entry(name, value);
        }
        shown.finish()
    }
}

/// What is wrong with a file.
fn file_error(what: &str, path: &Path, why: impl fmt::Display) -> ClientConfigurationError {
    ClientConfigurationError::new(format!("{what} {} {why}", path.display()))
}
