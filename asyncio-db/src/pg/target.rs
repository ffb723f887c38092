//! What it takes to open a session, and to interrupt it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use asyncio_core::Result;

use super::config::{Config, ConnectionParameters, Server};
use super::connect::PasswordFunction;
#[cfg(feature = "tls")]
use super::protocol::TlsRules;

/// Where a session is, who opens it, and how.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) parameters: ConnectionParameters,
    /// Asked for the password, in the place of what is known of it.
    pub(crate) password: Option<PasswordFunction>,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsRules,
}

/// Whether a session is encrypted, and what the server has to prove (`sslmode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// It is not.
    Disable,
    /// Only where the server insists.
    Allow,
    /// Where the server can.
    #[default]
    Prefer,
    /// It is, whoever the server may be.
    Require,
    /// It is, and an authority vouches for the server.
    VerifyCa,
    /// It is, and an authority vouches for the server under this name.
    VerifyFull,
}

impl Target {
    /// Finds out about everything, from the environment and from files.
    ///
    /// # Errors
    ///
    /// [`ClientConfigurationError`](crate::ClientConfigurationError) when something is wrong with them.
    pub(crate) fn of(config: &Config) -> Result<Self> {
        let parameters = config.resolve()?;
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: TlsRules::read(&parameters.tls)?,
            parameters,
            password: None,
        })
    }

    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.parameters.timeout
    }

    /// The servers, in the order in which they are to be tried this time.
    pub(crate) fn servers(&self) -> Vec<&Server> {
        let mut servers: Vec<_> = self.parameters.servers.iter().collect();
        if self.parameters.load_balance_hosts {
            for at in (1..servers.len()).rev() {
                // The standard library's only source of chance.
                let random = RandomState::new().build_hasher().finish();
                let other = usize::try_from(random % (at as u64 + 1)).unwrap_or(0);
                servers.swap(at, other);
            }
        }
        servers
    }
}
