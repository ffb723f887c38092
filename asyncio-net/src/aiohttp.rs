//! The same client with aiohttp's names.
//!
//! A [`ClientSession`] is an [`AsyncClient`] with the habits of aiohttp: redirects are followed,
//! bodies are read when they are asked for, [`ClientTimeout`] counts in its own parts, and a [`TCPConnector`]
//! says how many connections there may be.
//!
//! ```
//! use asyncio_core::{Result, run};
//! use asyncio_net::aiohttp::{ClientSession, ClientTimeout, TCPConnector};
//! use asyncio_net::start_server;
//!
//! # fn main() -> Result<()> {
//! run(async {
//!     let server = start_server(async |reader, writer| {
//!         reader.readuntil(b"\r\n\r\n").await?;
//!         writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n[1,2,3]");
//!         writer.drain().await
//!     }, "127.0.0.1", 0).await?;
//!
//!     let session = ClientSession::builder()
//!         .connector(TCPConnector::new().limit(20).limit_per_host(5).ttl_dns_cache(300))
//!         .timeout(ClientTimeout::new().total(30))
//!         .build()?;
//!     let mut reply = session.get(format!("http://127.0.0.1:{}/", server.port())).await?;
//!     assert_eq!(reply.status(), 200);
//!     let numbers: Vec<u32> = reply.json().await?;
//!     assert_eq!(numbers, [1, 2, 3]);
//!     session.close();
//!     Ok(())
//! })
//! # }
//! ```
//!
//! `async with session.get(url) as reply` is the life of the response: its drop gives the connection back where the
//! body has been read, and closes it otherwise.
//!
//! # asyncio
//!
//! The environment's proxies count only where `trust_env` says so, as there. aiohttp's exceptions have names of
//! their own, here it is [`HttpError`](crate::http::HttpError); a limit of time is one of its kinds. There are no
//! WebSockets and no tracing.

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use asyncio_core::{MaybeDelay, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::http::{
    AsyncClient, AsyncClientBuilder, Auth, Body, Chunks, Cookies, Headers, Limits, Lines,
    Multipart, Request, Response, StreamingResponse, Timeout, Verify, seconds,
};

/// How many connections there may be, and where names lead (`aiohttp.TCPConnector`).
#[derive(Clone, Debug)]
#[must_use]
pub struct TCPConnector {
    limits: Limits,
    ttl_dns_cache: Option<Duration>,
    ssl: Option<Verify>,
}

impl TCPConnector {
    /// 100 connections in use, idle ones kept for 15 seconds, names for 10, as in aiohttp.
    pub fn new() -> Self {
        let limits = Limits::new().max_keepalive_connections(None);
        Self {
            limits: limits.keepalive_expiry(15),
            ttl_dns_cache: Some(Duration::from_secs(10)),
            ssl: None,
        }
    }

    /// How many connections may be in use at a time; 0 for any number.
    pub fn limit(mut self, most: usize) -> Self {
        self.limits = self.limits.max_connections((most > 0).then_some(most));
        self
    }

    /// How many connections to one host may be in use at a time; 0 for any number, which is the default.
    pub fn limit_per_host(mut self, most: usize) -> Self {
        let most = (most > 0).then_some(most);
        self.limits = self.limits.max_connections_per_host(most);
        self
    }

    /// How long idle connections are kept.
    pub fn keepalive_timeout(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.limits = self.limits.keepalive_expiry(delay);
        self
    }

    /// Whether a connection serves one request only.
    pub fn force_close(mut self, force: bool) -> Self {
        self.limits = self.limits.max_keepalive_connections(force.then_some(0));
        self
    }

    /// How long it is remembered where a name leads; `None` for not at all.
    ///
    /// # asyncio
    ///
    /// There `None` is forever, and `use_dns_cache=False` not at all.
    pub fn ttl_dns_cache(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.ttl_dns_cache = seconds(delay);
        self
    }

    /// Whom to trust: a [`TlsClient`](crate::TlsClient), or `false` for everybody.
    pub fn ssl(mut self, verify: impl Into<Verify>) -> Self {
        self.ssl = Some(verify.into());
        self
    }
}

impl Default for TCPConnector {
    fn default() -> Self {
        Self::new()
    }
}

/// How long a request may take (`aiohttp.ClientTimeout`).
///
/// `connect` is for the wait for a connection of the [`TCPConnector`]'s number, and `sock_connect` for the
/// connection itself.
///
/// # asyncio
///
/// There `connect` is for both together; here a request that waits and then connects may take as long as their
/// sum. A write is limited by `sock_read` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ClientTimeout(Timeout);

impl ClientTimeout {
    /// Five minutes for all of it, and 30 seconds to connect, as in aiohttp.
    pub fn new() -> Self {
        let timeout = Timeout::disabled();
        Self(timeout.total(300).connect(30))
    }

    /// The limit for all of it; `None` for none.
    pub fn total(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.0 = self.0.total(delay);
        self
    }

    /// The limit for the wait for one of the connector's connections.
    pub fn connect(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.0 = self.0.pool(delay);
        self
    }

    /// The limit for name, connection and handshake.
    pub fn sock_connect(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.0 = self.0.connect(delay);
        self
    }

    /// The limit for each piece that is read or written.
    pub fn sock_read(mut self, delay: impl Into<MaybeDelay>) -> Self {
        let delay = delay.into();
        self.0 = self.0.read(delay).write(delay);
        self
    }
}

impl Default for ClientTimeout {
    fn default() -> Self {
        Self::new()
    }
}

impl From<ClientTimeout> for Timeout {
    fn from(timeout: ClientTimeout) -> Self {
        timeout.0
    }
}

/// A client with its connections and cookies (`aiohttp.ClientSession`). A clone is the same session.
#[derive(Clone, Debug)]
pub struct ClientSession {
    client: AsyncClient,
    raise_for_status: bool,
}

/// Makes a [`ClientSession`].
#[derive(Debug)]
#[must_use]
pub struct ClientSessionBuilder {
    builder: AsyncClientBuilder,
    connector: TCPConnector,
    raise_for_status: bool,
}

impl ClientSession {
    /// A session as it is made without settings.
    ///
    /// # Errors
    ///
    /// None with these settings.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A session with other settings.
    pub fn builder() -> ClientSessionBuilder {
        ClientSessionBuilder {
            builder: AsyncClient::builder()
                .follow_redirects(true)
                .max_redirects(10)
                .timeout(ClientTimeout::new())
                .trust_env(false),
            connector: TCPConnector::new(),
            raise_for_status: false,
        }
    }

    /// A request with any method.
    pub fn request(&self, method: &str, url: impl AsRef<str>) -> ClientRequest {
        ClientRequest {
            request: self.client.request(method, url),
            raise_for_status: self.raise_for_status,
        }
    }

    /// A GET request.
    pub fn get(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("GET", url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("POST", url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("PUT", url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("PATCH", url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("DELETE", url)
    }

    /// A HEAD request, whose redirects are not followed.
    pub fn head(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("HEAD", url).allow_redirects(false)
    }

    /// An OPTIONS request.
    pub fn options(&self, url: impl AsRef<str>) -> ClientRequest {
        self.request("OPTIONS", url)
    }

    /// The cookies (`session.cookie_jar`).
    #[must_use]
    pub fn cookie_jar(&self) -> Option<Cookies> {
        self.client.cookies()
    }

    /// Closes the session; see [`AsyncClient::aclose`].
    pub fn close(&self) {
        self.client.aclose();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The client below.
    #[must_use]
    pub const fn get_ref(&self) -> &AsyncClient {
        &self.client
    }
}

impl ClientSessionBuilder {
    /// How many connections there may be.
    pub fn connector(mut self, connector: TCPConnector) -> Self {
        self.connector = connector;
        self
    }

    /// The limits of time for every request.
    pub fn timeout(mut self, timeout: ClientTimeout) -> Self {
        self.builder = self.builder.timeout(timeout);
        self
    }

    /// What addresses without a host are put behind.
    pub fn base_url(mut self, url: &str) -> Self {
        self.builder = self.builder.base_url(url);
        self
    }

    /// A header for every request.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Who asks.
    pub fn auth(mut self, auth: impl Into<Auth>) -> Self {
        self.builder = self.builder.auth(auth);
        self
    }

    /// Cookies to begin with, which others may share.
    pub fn cookie_jar(mut self, cookies: Cookies) -> Self {
        self.builder = self.builder.cookie_jar(cookies);
        self
    }

    /// Whether every response whose status is 400 or more is an error.
    pub const fn raise_for_status(mut self, raise: bool) -> Self {
        self.raise_for_status = raise;
        self
    }

    /// Whether the environment's proxies count.
    pub fn trust_env(mut self, trust: bool) -> Self {
        self.builder = self.builder.trust_env(trust);
        self
    }

    /// Changes what has no name of aiohttp's.
    pub fn configure(
        mut self,
        change: impl FnOnce(AsyncClientBuilder) -> AsyncClientBuilder,
    ) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Makes the session.
    ///
    /// # Errors
    ///
    /// As of [`AsyncClientBuilder::build`].
    pub fn build(self) -> Result<ClientSession> {
        let mut builder = self
            .builder
            .limits(self.connector.limits)
            .ttl_dns_cache(self.connector.ttl_dns_cache.map(asyncio_core::Delay::from));
        if let Some(verify) = self.connector.ssl {
            builder = builder.verify(verify);
        }
        Ok(ClientSession {
            client: builder.build()?,
            raise_for_status: self.raise_for_status,
        })
    }
}

/// A request that is put together. Awaited, it is sent, and the head of its response read.
#[derive(Debug)]
#[must_use = "nothing is sent until it is awaited"]
pub struct ClientRequest {
    request: Request,
    raise_for_status: bool,
}

impl ClientRequest {
    fn with(mut self, change: impl FnOnce(Request) -> Request) -> Self {
        self.request = change(self.request);
        self
    }

    /// Sets a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|request| request.header(name, value))
    }

    /// Adds parameters to the address.
    pub fn params<N, V>(self, params: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: ToString,
    {
        self.with(|request| request.params(params))
    }

    /// Sends a value as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.with(|request| request.json(value))
    }

    /// Sends these bytes, this text or this stream.
    pub fn data(self, body: impl Into<Body>) -> Self {
        self.with(|request| request.content(body))
    }

    /// Sends a form, as a browser does.
    pub fn form<N, V>(self, form: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: ToString,
    {
        self.with(|request| request.data(form))
    }

    /// Sends a form with files (`aiohttp.FormData`).
    pub fn multipart(self, form: Multipart) -> Self {
        self.with(|request| request.files(form))
    }

    /// The limits of time for this request.
    pub fn timeout(self, timeout: ClientTimeout) -> Self {
        self.with(|request| request.timeout(timeout))
    }

    /// Who asks.
    pub fn auth(self, auth: impl Into<Auth>) -> Self {
        self.with(|request| request.auth(auth))
    }

    /// Whether redirects are followed.
    pub fn allow_redirects(self, follow: bool) -> Self {
        self.with(|request| request.follow_redirects(follow))
    }

    /// Whether a status of 400 or more is an error.
    pub const fn raise_for_status(mut self, raise: bool) -> Self {
        self.raise_for_status = raise;
        self
    }
}

impl IntoFuture for ClientRequest {
    type Output = Result<ClientResponse>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let response = self.request.stream().await?;
            let response = ClientResponse(Some(State::Begun(Box::new(response))));
            if self.raise_for_status {
                response.raise_for_status()?;
            }
            Ok(response)
        })
    }
}

/// A response whose body is read when it is asked for (`aiohttp.ClientResponse`).
///
/// It holds its connection until then; see [`StreamingResponse`].
pub struct ClientResponse(Option<State>);

enum State {
    Begun(Box<StreamingResponse>),
    Read(Box<Response>),
}

macro_rules! either {
    ($self:ident, $response:ident => $value:expr, $none:expr) => {
        match &$self.0 {
            Some(State::Begun($response)) => $value,
            Some(State::Read($response)) => $value,
            None => $none,
        }
    };
}

impl ClientResponse {
    /// The status, such as 200.
    #[must_use]
    pub fn status(&self) -> u16 {
        either!(self, response => response.status_code(), 0)
    }

    /// What the status means, such as "OK".
    #[must_use]
    pub fn reason(&self) -> &'static str {
        either!(self, response => response.reason_phrase(), "")
    }

    /// Whether the status is below 400.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.status() < 400
    }

    /// The address that has answered.
    #[must_use]
    pub fn url(&self) -> &str {
        either!(self, response => response.url(), "")
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> Headers {
        either!(self, response => response.headers().clone(), Headers::new())
    }

    /// The responses that have led here.
    #[must_use]
    pub fn history(&self) -> &[Response] {
        either!(self, response => response.history(), &[])
    }

    /// Whether it is a success, as aiohttp has it: a status below 400.
    ///
    /// # Errors
    ///
    /// [`HttpError`](crate::http::HttpError) of the kind `Status` otherwise.
    pub fn raise_for_status(&self) -> Result<()> {
        if self.ok() {
            return Ok(());
        }
        either!(self, response => response.check_status(), Ok(()))
    }

    async fn whole(&mut self) -> Result<&Response> {
        let state = match self.0.take() {
            Some(State::Begun(response)) => State::Read(Box::new(response.aread().await?)),
            Some(read) => read,
            None => return Err(interrupted()),
        };
        match self.0.insert(state) {
            State::Read(response) => Ok(response),
            State::Begun(_) => Err(interrupted()),
        }
    }

    /// The body (`await reply.read()`). It is kept, and may be asked for again.
    ///
    /// # Errors
    ///
    /// As of [`StreamingResponse::aread`]; and once that has failed.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the connection is closed, and there is no body any more.
    pub async fn read(&mut self) -> Result<Vec<u8>> {
        Ok(self.whole().await?.content().to_vec())
    }

    /// The body as text; see [`Response::text`].
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn text(&mut self) -> Result<String> {
        Ok(self.whole().await?.text())
    }

    /// The body, which is JSON; see [`Response::json`].
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read) and [`Response::json`].
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        self.whole().await?.json()
    }

    /// The body in pieces of this size (`reply.content.iter_chunked`); `None` once it has been read.
    pub fn iter_chunked(&mut self, size: usize) -> Option<Chunks<'_>> {
        match &mut self.0 {
            Some(State::Begun(response)) => Some(response.aiter_bytes(size)),
            _ => None,
        }
    }

    /// The body as lines (`async for line in reply.content`), without what ends them; `None` once it has been
    /// read.
    pub fn iter_lines(&mut self) -> Option<Lines<'_>> {
        match &mut self.0 {
            Some(State::Begun(response)) => Some(response.aiter_lines()),
            _ => None,
        }
    }

    /// Ends it (`reply.release`): a short body is read so that the connection serves again.
    ///
    /// # Errors
    ///
    /// As of [`StreamingResponse::aclose`].
    ///
    /// # Cancel safety
    ///
    /// As of [`StreamingResponse::aclose`].
    pub async fn release(self) -> Result<()> {
        match self.0 {
            Some(State::Begun(response)) => response.aclose().await,
            _ => Ok(()),
        }
    }
}

fn interrupted() -> asyncio_core::Exception {
    asyncio_core::RuntimeError::new("the body was not read to its end, and is gone").into()
}

impl fmt::Debug for ClientResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = either!(self, response => response.url(), "");
        let shown = url.split('?').next().unwrap_or_default();
        write!(
            f,
            "<ClientResponse({shown}) [{} {}]>",
            self.status(),
            self.reason()
        )
    }
}
