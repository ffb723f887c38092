//! What it takes to open a session, and to interrupt it.

use std::time::Duration;

use super::protocol::Address;
#[cfg(feature = "tls")]
use super::protocol::TlsRules;

/// Where a session is, who opens it, and how.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addresses: Vec<Address>,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) server_settings: Vec<(String, String)>,
    pub(crate) ssl: SslMode,
    #[cfg(feature = "tls")]
    pub(crate) tls: TlsRules,
    pub(crate) timeout: Option<Duration>,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            user: String::new(),
            password: None,
            database: String::new(),
            server_settings: Vec::new(),
            ssl: SslMode::default(),
            #[cfg(feature = "tls")]
            tls: TlsRules::default(),
            timeout: Some(Duration::from_secs(60)),
        }
    }
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
