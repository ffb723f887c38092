//! What streams raise (`asyncio/exceptions.py`).

use std::fmt;
use std::io;
use std::net::SocketAddr;

use asyncio_core::Exception;

/// The stream ended before all that was asked for had come (`asyncio.IncompleteReadError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} bytes read on a total of {} expected bytes", .partial.len(), Expected(*.expected))]
pub struct IncompleteReadError {
    partial: Vec<u8>,
    expected: Option<usize>,
}

/// No separator was found within the limit of the stream (`asyncio.LimitOverrunError`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LimitOverrunError {
    message: &'static str,
    consumed: usize,
}

impl IncompleteReadError {
    /// An error about this much of what was expected; `None` where no number of bytes was.
    #[must_use]
    pub const fn new(partial: Vec<u8>, expected: Option<usize>) -> Self {
        Self { partial, expected }
    }

    /// The bytes that came before the end. They have left the stream.
    #[must_use]
    pub fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// The bytes that came before the end.
    #[must_use]
    pub fn into_partial(self) -> Vec<u8> {
        self.partial
    }

    /// How many bytes were expected, if it was a number of bytes.
    #[must_use]
    pub const fn expected(&self) -> Option<usize> {
        self.expected
    }
}

impl LimitOverrunError {
    /// An error after so many bytes.
    #[must_use]
    pub const fn new(message: &'static str, consumed: usize) -> Self {
        Self { message, consumed }
    }

    /// How many bytes at the beginning of the stream hold no separator. They are still there.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.consumed
    }
}

/// The peer ended a TLS connection without saying so: what came may not be all that was sent.
///
/// # asyncio
///
/// Python hides it: there it is the end of the stream like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the peer closed the connection without the end of TLS")]
#[non_exhaustive]
pub struct TlsTruncated;

/// The operating system does not send this file over this connection, and to copy it was not wanted
/// (`asyncio.SendfileNotAvailableError`).
///
/// # asyncio
///
/// No kind of `RuntimeError`.
#[derive(Debug, thiserror::Error)]
#[error("the operating system cannot send this file over this connection")]
pub struct SendfileNotAvailableError {
    source: Option<io::Error>,
}

impl SendfileNotAvailableError {
    #[cfg(unix)]
    pub(crate) const fn new(source: Option<io::Error>) -> Self {
        Self { source }
    }
}

/// There was no agreement on TLS: a certificate that is not trusted, no version in common, a peer that
/// does not speak TLS (`ssl.SSLError`).
#[cfg(feature = "tls")]
#[derive(Debug, thiserror::Error)]
#[error("the handshake of TLS failed")]
pub struct TlsError {
    source: io::Error,
}

#[cfg(feature = "tls")]
impl TlsError {
    pub(crate) const fn new(source: io::Error) -> Self {
        Self { source }
    }

    /// Whether it was the certificate of the peer that is not accepted
    /// (`ssl.SSLCertVerificationError`).
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        let inner = self.source.get_ref();
        let error = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(error, Some(rustls::Error::InvalidCertificate(_)))
    }

    /// The kind of the I/O error that it came as.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

/// No address of a host could be connected to: each with its error
/// (`create_connection(all_errors=True)`).
#[derive(Clone, Debug, thiserror::Error)]
pub struct ConnectError {
    attempts: Vec<(SocketAddr, Exception)>,
}

impl ConnectError {
    pub(crate) const fn new(attempts: Vec<(SocketAddr, Exception)>) -> Self {
        Self { attempts }
    }

    /// The addresses that were tried, in that order, and why each failed.
    #[must_use]
    pub fn attempts(&self) -> &[(SocketAddr, Exception)] {
        &self.attempts
    }

    /// The kind of the errors, where all are of one kind, such as
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused).
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        let mut kinds = self.attempts.iter().map(|(_, error)| {
            let error = error.downcast_ref::<io::Error>();
            error.map_or(io::ErrorKind::Other, io::Error::kind)
        });
        let first = kinds.next().unwrap_or(io::ErrorKind::Other);
        if kinds.all(|kind| kind == first) {
            first
        } else {
            io::ErrorKind::Other
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot connect")?;
        for (number, (address, error)) in self.attempts.iter().enumerate() {
            let separator = if number == 0 { " to" } else { ";" };
            write!(f, "{separator} {address}: {error}")?;
        }
        Ok(())
    }
}

/// What an error of a socket is for a program.
pub(crate) fn io_exception(error: io::Error) -> Exception {
    let truncated = error
        .get_ref()
        .is_some_and(|inner| inner.is::<TlsTruncated>());
    if truncated {
        return Exception::from(TlsTruncated);
    }
    Exception::from(error)
}

/// An exception where tokio's traits want an I/O error.
pub(crate) fn io_error(exception: &Exception) -> io::Error {
    let kind = exception
        .downcast_ref::<io::Error>()
        .map_or(io::ErrorKind::Other, io::Error::kind);
    let boxed: Box<dyn std::error::Error + Send + Sync> = exception.clone().into();
    io::Error::new(kind, boxed)
}

/// What is raised where a connection was closed on this side.
pub(crate) fn connection_lost() -> Exception {
    Exception::from(io::Error::new(
        io::ErrorKind::ConnectionReset,
        "the connection is lost",
    ))
}

struct Expected(Option<usize>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => number.fmt(f),
            None => f.write_str("undefined"),
        }
    }
}
