//! What is known of a connection (`asyncio/transports.py`, `BaseTransport.get_extra_info`).

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "tls")]
use crate::ssl::TlsInfo;
use crate::streams::Outgoing;
#[cfg(feature = "tls")]
use crate::streams::WriteEnd;

/// What is known of a connection (`BaseTransport.get_extra_info`).
#[derive(Clone)]
pub struct ExtraInfo {
    outgoing: Arc<Outgoing>,
}

/// The two addresses of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) enum Addresses {
    #[default]
    None,
    Inet {
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    },
    #[cfg(unix)]
    Unix(Box<(Option<PathBuf>, Option<PathBuf>)>),
}

impl ExtraInfo {
    pub(crate) const fn of(outgoing: Arc<Outgoing>) -> Self {
        Self { outgoing }
    }

    /// The other side's address (`peername`), over TCP.
    #[must_use]
    pub fn peername(&self) -> Option<SocketAddr> {
        match self.outgoing.addresses() {
            Addresses::Inet { peer, .. } => *peer,
            _ => None,
        }
    }

    /// This side's address (`sockname`), over TCP.
    #[must_use]
    pub fn sockname(&self) -> Option<SocketAddr> {
        match self.outgoing.addresses() {
            Addresses::Inet { local, .. } => *local,
            _ => None,
        }
    }

    /// What was agreed on with TLS, where the connection speaks it (`ssl_object`, `cipher`,
    /// `peercert`).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(&self) -> Option<TlsInfo> {
        let end = self.outgoing.with_end(|end| match end {
            WriteEnd::Tls(end) => Some(end.clone()),
            _ => None,
        });
        end.flatten().map(|end| end.info())
    }

    /// The path of the other side's Unix socket (`peername`), where it has one.
    #[cfg(unix)]
    #[must_use]
    pub fn peer_path(&self) -> Option<PathBuf> {
        match self.outgoing.addresses() {
            Addresses::Unix(paths) => paths.0.clone(),
            _ => None,
        }
    }

    /// The path of this side's Unix socket (`sockname`), where it has one.
    #[cfg(unix)]
    #[must_use]
    pub fn sock_path(&self) -> Option<PathBuf> {
        match self.outgoing.addresses() {
            Addresses::Unix(paths) => paths.1.clone(),
            _ => None,
        }
    }
}

impl fmt::Debug for ExtraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtraInfo")
            .field(self.outgoing.addresses())
            .finish()
    }
}
