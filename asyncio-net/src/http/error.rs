//! What the client raises (`httpx._exceptions`).

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use asyncio_core::Exception;
use reqwest::Url;

use super::dns::ResolveError;
use super::exchange::ConnectTimeout;

/// What went wrong with a request: in which phase, with which address, and whether it may be sent again.
///
/// It is found in an [`Exception`] by [`HttpError::of`]. A cancellation is none of these: it arrives as
/// [`CancelledError`](asyncio_core::CancelledError), and the timeout of an
/// [`asyncio_core::timeout`] around the call as [`TimeoutError`](asyncio_core::TimeoutError).
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::http::{AsyncClient, HttpError, HttpErrorKind};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let client = AsyncClient::builder().trust_env(false).build()?;
///     // Nothing listens there.
///     let error = client.get("http://user:secret@127.0.0.1:1/?key=secret").await.unwrap_err();
///     let error = HttpError::of(&error).expect("an error of the client");
///     assert_eq!(error.kind(), HttpErrorKind::Connect);
///     assert!(error.is_retry_safe());
///     assert_eq!(error.url(), "http://127.0.0.1:1/?…");
///     Ok(())
/// })
/// # }
/// ```
pub struct HttpError(Box<Inner>);

struct Inner {
    kind: HttpErrorKind,
    method: http::Method,
    url: String,
    status: Option<u16>,
    message: Option<String>,
    reused: bool,
    sent: bool,
    elapsed: Duration,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of error it is: the names are those of httpx's exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpErrorKind {
    /// No connection was free within the limits of the client in time (`httpx.PoolTimeout`).
    PoolTimeout,
    /// Name, connection, handshake and proxy took too long (`httpx.ConnectTimeout`).
    ConnectTimeout,
    /// The server took nothing of the body for too long (`httpx.WriteTimeout`).
    WriteTimeout,
    /// Nothing came from the server for too long (`httpx.ReadTimeout`).
    ReadTimeout,
    /// All of it together took too long; httpx has no such limit.
    TotalTimeout,
    /// The name of the host leads nowhere (part of `httpx.ConnectError`).
    Dns,
    /// The server does not accept the connection (`httpx.ConnectError`).
    Connect,
    /// There was no agreement on TLS, as when a certificate is not trusted (part of `httpx.ConnectError`).
    Tls,
    /// The proxy does not pass it on (`httpx.ProxyError`).
    Proxy,
    /// The connection broke while the request was sent (`httpx.WriteError`).
    Write,
    /// The connection broke while the response came (`httpx.ReadError`).
    Read,
    /// The server has closed the connection without an answer (`httpx.RemoteProtocolError`).
    ServerDisconnected,
    /// What the server says is no HTTP, or less than it announced (`httpx.RemoteProtocolError`).
    RemoteProtocol,
    /// What was asked for cannot be sent (`httpx.LocalProtocolError`).
    LocalProtocol,
    /// The address has a scheme other than `http` and `https` (`httpx.UnsupportedProtocol`).
    UnsupportedProtocol,
    /// The address is none (`httpx.InvalidURL`).
    InvalidUrl,
    /// More redirects than the client follows (`httpx.TooManyRedirects`).
    TooManyRedirects,
    /// The body is not what its headers say: its compression, its text, its JSON (`httpx.DecodingError`).
    Decoding,
    /// The body is larger than the client takes.
    BodyTooLarge,
    /// The status is no success, and one was asked for (`httpx.HTTPStatusError`).
    Status,
    /// The body was a stream, which cannot be sent a second time (`httpx.StreamConsumed`).
    StreamConsumed,
    /// The client is closed.
    Closed,
}

/// The part of a request's life that an error belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpPhase {
    /// Before anything was done.
    Prepare,
    /// Waiting until the limits allow a connection.
    Pool,
    /// Looking up the name, connecting, TLS, the proxy.
    Connect,
    /// Sending the request.
    Write,
    /// Waiting for the response and reading it.
    Read,
    /// The response is there.
    Response,
}

impl HttpErrorKind {
    /// The part of a request's life that it belongs to; that of [`TotalTimeout`](Self::TotalTimeout) is
    /// where the time is spent as a rule.
    #[must_use]
    pub const fn phase(self) -> HttpPhase {
        match self {
            Self::PoolTimeout => HttpPhase::Pool,
            Self::ConnectTimeout | Self::Dns | Self::Connect | Self::Tls | Self::Proxy => {
                HttpPhase::Connect
            }
            Self::WriteTimeout | Self::Write => HttpPhase::Write,
            Self::ReadTimeout
            | Self::TotalTimeout
            | Self::Read
            | Self::ServerDisconnected
            | Self::RemoteProtocol => HttpPhase::Read,
            Self::TooManyRedirects | Self::Decoding | Self::BodyTooLarge | Self::Status => {
                HttpPhase::Response
            }
            Self::LocalProtocol
            | Self::UnsupportedProtocol
            | Self::InvalidUrl
            | Self::StreamConsumed
            | Self::Closed => HttpPhase::Prepare,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::PoolTimeout => "no connection was free in time",
            Self::ConnectTimeout => "connecting took too long",
            Self::WriteTimeout => "the server took nothing of the body for too long",
            Self::ReadTimeout => "nothing came from the server for too long",
            Self::TotalTimeout => "it took too long in all",
            Self::Dns => "the name of the host leads nowhere",
            Self::Connect => "cannot connect",
            Self::Tls => "no agreement on TLS",
            Self::Proxy => "the proxy does not pass it on",
            Self::Write => "the connection broke while the request was sent",
            Self::Read => "the connection broke while the response came",
            Self::ServerDisconnected => "the server closed the connection without an answer",
            Self::RemoteProtocol => "the server does not keep to HTTP",
            Self::LocalProtocol => "this cannot be sent",
            Self::UnsupportedProtocol => "the scheme is neither http nor https",
            Self::InvalidUrl => "this is no address",
            Self::TooManyRedirects => "too many redirects",
            Self::Decoding => "the body is not what its headers say",
            Self::BodyTooLarge => "the body is larger than the client takes",
            Self::Status => "the status is no success",
            Self::StreamConsumed => "a body that is a stream cannot be sent again",
            Self::Closed => "the client is closed",
        }
    }
}

impl HttpError {
    pub(crate) fn new(kind: HttpErrorKind, method: &http::Method, url: &Url) -> Self {
        Self::with_text(kind, method, public_url(url))
    }

    pub(crate) fn with_text(kind: HttpErrorKind, method: &http::Method, url: String) -> Self {
        Self(Box::new(Inner {
            kind,
            method: method.clone(),
            url,
            status: None,
            message: None,
            reused: false,
            sent: false,
            elapsed: Duration::ZERO,
            source: None,
        }))
    }

    /// The error of the client in an exception, where it is one.
    #[must_use]
    pub fn of(exception: &Exception) -> Option<&Self> {
        exception.downcast_ref::<Self>()
    }

    pub(crate) fn status_is(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    pub(crate) fn message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    pub(crate) fn source_is(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What is known of the exchange that it comes from.
    pub(crate) fn exchanged(mut self, reused: bool, sent: bool, elapsed: Duration) -> Self {
        self.0.reused = reused;
        self.0.sent = sent;
        self.0.elapsed = elapsed;
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub const fn kind(&self) -> HttpErrorKind {
        self.0.kind
    }

    /// The part of the request's life that it belongs to.
    #[must_use]
    pub const fn phase(&self) -> HttpPhase {
        self.0.kind.phase()
    }

    /// The method of the request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.0.method.as_str()
    }

    /// The address, without a user's name, a password and what stands in its query.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// The status of the response, where there is one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Whether a limit of time was reached (`httpx.TimeoutException`).
    #[must_use]
    pub const fn is_timeout(&self) -> bool {
        matches!(
            self.0.kind,
            HttpErrorKind::PoolTimeout
                | HttpErrorKind::ConnectTimeout
                | HttpErrorKind::WriteTimeout
                | HttpErrorKind::ReadTimeout
                | HttpErrorKind::TotalTimeout
        )
    }

    /// Whether it is the way to the server that failed, or a limit of time on it
    /// (`httpx.TransportError`).
    #[must_use]
    pub const fn is_transport(&self) -> bool {
        matches!(
            self.phase(),
            HttpPhase::Pool | HttpPhase::Connect | HttpPhase::Write | HttpPhase::Read
        )
    }

    /// Whether the server may have seen any of the request.
    #[must_use]
    pub const fn was_sent(&self) -> bool {
        self.0.sent
    }

    /// Whether the connection had served another request before.
    #[must_use]
    pub const fn reused_connection(&self) -> bool {
        self.0.reused
    }

    /// Whether the same request may be sent again without being done twice: the server has seen nothing of
    /// it, or its method is one that may be repeated; and another outcome is possible.
    ///
    /// Of the statuses these are 408, 425, 429, 500, 502, 503 and 504.
    #[must_use]
    pub fn is_retry_safe(&self) -> bool {
        let idempotent = self.0.method.is_idempotent();
        match self.0.kind {
            HttpErrorKind::Status => {
                idempotent && matches!(self.0.status, Some(408 | 425 | 429 | 500 | 502 | 503 | 504))
            }
            // Another attempt would meet the same certificate.
            HttpErrorKind::Tls => false,
            _ if self.is_transport() => idempotent || !self.0.sent,
            _ => false,
        }
    }

    /// How long it took until then.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.0.elapsed
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.message.as_deref().unwrap_or(self.0.kind.text());
        write!(f, "{} {}: {text}", self.0.method, self.0.url)?;
        match self.0.status {
            Some(status) => write!(f, " ({status})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpError")
            .field("kind", &self.0.kind)
            .field("method", &self.0.method)
            .field("url", &self.0.url)
            .field("status", &self.0.status)
            .field("reused_connection", &self.0.reused)
            .field("was_sent", &self.0.sent)
            .field("elapsed", &self.0.elapsed)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + Send + Sync + 'static) = self.0.source.as_deref()?;
        Some(source)
    }
}

/// An address as it may be shown to anybody.
pub(crate) fn public_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither fails but for addresses without a host, which have none of these.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    let has_query = shown.query().is_some_and(|query| !query.is_empty());
    shown.set_query(None);
    let mut shown = shown.to_string();
    if has_query {
        shown.push_str("?…");
    }
    shown
}

/// All that an error says of its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = match error.downcast_ref::<io::Error>() {
            // What it wraps is not its source but itself.
            Some(io) => io.get_ref().map(|inner| {
                let inner: &(dyn Error + 'static) = inner;
                inner
            }),
            None => error.source(),
        };
        Some(error)
    })
}

/// What an error of reqwest's is about, before there was a response.
pub(crate) fn kind_of_send(error: &reqwest::Error, proxied: bool, uploads: bool) -> HttpErrorKind {
    if causes(error).any(|cause| cause.is::<ConnectTimeout>()) {
        return HttpErrorKind::ConnectTimeout;
    }
    if error.is_connect() {
        if causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return HttpErrorKind::Tls;
        }
        if proxied {
            return HttpErrorKind::Proxy;
        }
        if causes(error).any(|cause| cause.is::<ResolveError>()) {
            return HttpErrorKind::Dns;
        }
        return HttpErrorKind::Connect;
    }
    if error.is_builder() {
        return HttpErrorKind::LocalProtocol;
    }
    let kind = kind_of_body(error);
    match kind {
        HttpErrorKind::Read if uploads => HttpErrorKind::Write,
        kind => kind,
    }
}

/// What an error of reqwest's or hyper's is about, once the request was on its way.
pub(crate) fn kind_of_body(error: &(dyn Error + 'static)) -> HttpErrorKind {
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<reqwest::Error>()
            && error.is_decode()
        {
            // hyper's and the system's errors come through the decoder too.
            let inner = causes(error).any(|cause| cause.is::<hyper::Error>() || is_broken(cause));
            if !inner {
                return HttpErrorKind::Decoding;
            }
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_user() {
                return HttpErrorKind::LocalProtocol;
            }
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                return HttpErrorKind::ServerDisconnected;
            }
            if error.is_parse() {
                return HttpErrorKind::RemoteProtocol;
            }
            if causes(error).any(is_broken) {
                continue;
            }
            return HttpErrorKind::RemoteProtocol;
        }
        if is_broken(cause) {
            return HttpErrorKind::Read;
        }
    }
    HttpErrorKind::Read
}

/// Whether a connection broke.
fn is_broken(cause: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    cause.downcast_ref::<io::Error>().is_some_and(|error| {
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
        )
    })
}
