//! The client (`httpx.AsyncClient`).

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use asyncio_core::waiting::Mutex;
use asyncio_core::{MaybeDelay, Result, ValueError};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;

use super::auth::Auth;
use super::config::{Limits, Timeout, Verifies, Verify, duration};
use super::cookies::Cookies;
use super::dns::Resolver;
use super::exchange::Watching;
use super::headers::Headers;
use super::pool::{Pool, PoolStats};
use super::request::Request;
use super::transport::{Transport, TransportRequest, TransportResponse};
use crate::TlsClient;

/// A client with its connections, its cookies and its limits (`httpx.AsyncClient`).
///
/// A clone is the same client. One is meant for the whole program: its connections are used again.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::http::{AsyncClient, Limits, Timeout};
/// use asyncio_net::start_server;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let server = start_server(async |reader, writer| {
///         reader.readuntil(b"\r\n\r\n").await?;
///         writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncheese");
///         writer.drain().await
///     }, "127.0.0.1", 0).await?;
///
///     let client = AsyncClient::builder()
///         .base_url(&format!("http://127.0.0.1:{}/", server.port()))
///         .timeout(Timeout::new(20).connect(5).total(60))
///         .limits(Limits::new().max_connections(8))
///         .header("user-agent", "cheese-counter/3")
///         .trust_env(false)
///         .build()?;
///     let response = client.get("/shelf").await?.raise_for_status()?;
///     assert_eq!(response.text(), "cheese");
///     client.aclose();
///     Ok(())
/// })
/// # }
/// ```
///
/// # asyncio
///
/// Its name, and those of what belongs to it, are httpx's. Redirects are followed only where that is asked for,
/// as there.
#[derive(Clone)]
pub struct AsyncClient(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Mutex<Option<reqwest::Client>>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) config: Config,
}

/// What a client is made of.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) timeout: Timeout,
    pub(crate) limits: Limits,
    pub(crate) base_url: Option<Url>,
    pub(crate) headers: HeaderMap,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) cookies: Option<Cookies>,
    pub(crate) auth: Option<Auth>,
    pub(crate) follow_redirects: bool,
    pub(crate) max_redirects: usize,
    pub(crate) max_response_size: Option<u64>,
    pub(crate) retry_reused: bool,
    pub(crate) on_request: Vec<RequestHook>,
    pub(crate) on_response: Vec<ResponseHook>,
    pub(crate) transport: Option<Transport>,
    pub(crate) proxied: bool,
}

type RequestHook = Arc<dyn Fn(&mut RequestInfo<'_>) -> Result<()> + Send + Sync>;
type ResponseHook = Arc<dyn Fn(&ResponseInfo<'_>) -> Result<()> + Send + Sync>;

/// A request that is about to be sent, for those who look at it or change its headers.
#[derive(Debug)]
pub struct RequestInfo<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a mut Headers,
}

/// The head of a response that has come.
#[derive(Debug)]
pub struct ResponseInfo<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) status: u16,
    pub(crate) headers: &'a Headers,
    pub(crate) elapsed: Duration,
}

impl AsyncClient {
    /// A client as it is made without settings: the limits of [`Timeout`] and [`Limits`], and HTTP/1.
    ///
    /// # Errors
    ///
    /// None with these settings, but for variables in the environment that name no proxy.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A client with other settings.
    pub fn builder() -> AsyncClientBuilder {
        AsyncClientBuilder {
            config: Config {
                timeout: Timeout::default(),
                limits: Limits::default(),
                base_url: None,
                headers: HeaderMap::new(),
                params: Vec::new(),
                cookies: Some(Cookies::new()),
                auth: None,
                follow_redirects: false,
                max_redirects: 20,
                max_response_size: None,
                retry_reused: true,
                on_request: Vec::new(),
                on_response: Vec::new(),
                transport: None,
                proxied: false,
            },
            engine: reqwest::Client::builder(),
            http1: true,
            http2: false,
            trust_env: true,
            verify: Verify(Verifies::Authorities),
            ttl_dns_cache: None,
            error: None,
        }
    }

    /// A request with any method.
    pub fn request(&self, method: &str, url: impl AsRef<str>) -> Request {
        Request::new(self, method, url.as_ref())
    }

    /// A GET request.
    pub fn get(&self, url: impl AsRef<str>) -> Request {
        self.request("GET", url)
    }

    /// An OPTIONS request.
    pub fn options(&self, url: impl AsRef<str>) -> Request {
        self.request("OPTIONS", url)
    }

    /// A HEAD request.
    pub fn head(&self, url: impl AsRef<str>) -> Request {
        self.request("HEAD", url)
    }

    /// A POST request.
    pub fn post(&self, url: impl AsRef<str>) -> Request {
        self.request("POST", url)
    }

    /// A PUT request.
    pub fn put(&self, url: impl AsRef<str>) -> Request {
        self.request("PUT", url)
    }

    /// A PATCH request.
    pub fn patch(&self, url: impl AsRef<str>) -> Request {
        self.request("PATCH", url)
    }

    /// A DELETE request.
    pub fn delete(&self, url: impl AsRef<str>) -> Request {
        self.request("DELETE", url)
    }

    /// The limits of time.
    #[must_use]
    pub fn timeout(&self) -> Timeout {
        self.0.config.timeout
    }

    /// The limits of connections.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.0.config.limits
    }

    /// The cookies, unless the client keeps none.
    #[must_use]
    pub fn cookies(&self) -> Option<Cookies> {
        self.0.config.cookies.clone()
    }

    /// How many requests are under way and wait, at this moment.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        self.0.pool.stats()
    }

    /// Closes the client (`client.aclose`): idle connections are closed, requests that begin from now on fail, and
    /// those that wait for a place too. What is under way goes on to its end.
    pub fn aclose(&self) {
        self.0.pool.close();
        let engine = {
            let mut engine = self.0.engine.lock();
            engine.take()
        };
        drop(engine);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.pool.is_closed()
    }

    /// reqwest's client, for what is not here; its requests know no limits. `None` once it is closed.
    #[must_use]
    pub fn get_ref(&self) -> Option<reqwest::Client> {
        self.0.engine.lock().clone()
    }
}

impl fmt::Debug for AsyncClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncClient")
            .field("timeout", &self.0.config.timeout)
            .field("limits", &self.0.config.limits)
            .field("stats", &self.pool_stats())
            .finish_non_exhaustive()
    }
}

/// Makes an [`AsyncClient`].
#[must_use]
pub struct AsyncClientBuilder {
    config: Config,
    engine: reqwest::ClientBuilder,
    http1: bool,
    http2: bool,
    trust_env: bool,
    verify: Verify,
    ttl_dns_cache: Option<Duration>,
    error: Option<ValueError>,
}

impl AsyncClientBuilder {
    fn wrong(&mut self, message: &'static str) {
        self.error.get_or_insert(ValueError::new(message));
    }

    /// The limits of time for every request, unless it brings its own.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.config.timeout = timeout.into();
        self
    }

    /// The limits of connections.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// What addresses without a host are put behind.
    pub fn base_url(mut self, url: &str) -> Self {
        match Url::parse(url) {
            Ok(url) if url.has_host() => self.config.base_url = Some(url),
            _ => self.wrong("the base of the addresses is no address"),
        }
        self
    }

    /// A header for every request that does not bring its own.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.config.headers.insert(name, value);
            }
            _ => self.wrong("this is no header"),
        }
        self
    }

    /// Parameters for every address.
    pub fn params<N, V>(mut self, params: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: ToString,
    {
        let params = params.into_iter();
        let params = params.map(|(name, value)| (name.into(), value.to_string()));
        self.config.params.extend(params);
        self
    }

    /// Whether cookies that servers set are kept and sent back; they are by default.
    pub fn cookies(mut self, keep: bool) -> Self {
        self.config.cookies = keep.then(Cookies::new);
        self
    }

    /// Cookies to begin with, which others may share.
    pub fn cookie_jar(mut self, cookies: Cookies) -> Self {
        self.config.cookies = Some(cookies);
        self
    }

    /// Who asks.
    pub fn auth(mut self, auth: impl Into<Auth>) -> Self {
        self.config.auth = Some(auth.into());
        self
    }

    /// Whether redirects are followed; they are not by default.
    pub const fn follow_redirects(mut self, follow: bool) -> Self {
        self.config.follow_redirects = follow;
        self
    }

    /// How many redirects are followed one after the other; 20 by default.
    pub const fn max_redirects(mut self, most: usize) -> Self {
        self.config.max_redirects = most;
        self
    }

    /// How large a body may be, counted after its compression was undone; without limit by default.
    pub const fn max_response_size(mut self, most: u64) -> Self {
        self.config.max_response_size = Some(most);
        self
    }

    /// Whether HTTP/2 is spoken with servers that do (`http2=True`); needs TLS, and the feature `http2`.
    ///
    /// A connection that is silent for 20 seconds is asked for a sign of life, and given up after 10 more.
    #[cfg(feature = "http2")]
    pub const fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Whether HTTP/1 is spoken; without it HTTP/2 is, from the first byte, also without TLS.
    #[cfg(feature = "http2")]
    pub const fn http1(mut self, on: bool) -> Self {
        self.http1 = on;
        self
    }

    /// A proxy for all addresses: `http://`, `https://`, with the feature `socks` also `socks5://`; user and
    /// password may stand in it.
    ///
    /// Time that it takes to connect through it counts as connecting.
    pub fn proxy(mut self, url: &str) -> Self {
        match reqwest::Proxy::all(url) {
            Ok(proxy) => self.add_proxy(proxy),
            Err(_) => self.wrong("this is no address of a proxy"),
        }
        self
    }

    /// A proxy for the addresses with this scheme, `http` or `https` (`mounts=`).
    pub fn proxy_for(mut self, scheme: &str, url: &str) -> Self {
        let proxy = match scheme {
            "http" => reqwest::Proxy::http(url),
            "https" => reqwest::Proxy::https(url),
            _ => {
                self.wrong("a proxy is for http or https");
                return self;
            }
        };
        match proxy {
            Ok(proxy) => self.add_proxy(proxy),
            Err(_) => self.wrong("this is no address of a proxy"),
        }
        self
    }

    fn add_proxy(&mut self, proxy: reqwest::Proxy) {
        self.config.proxied = true;
        let engine = std::mem::take(&mut self.engine);
        self.engine = engine.proxy(proxy);
    }

    /// Whether the variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` count; they do by
    /// default, where no proxy is set.
    pub const fn trust_env(mut self, trust: bool) -> Self {
        self.trust_env = trust;
        self
    }

    /// Whom to trust: a [`TlsClient`], or `false` for everybody, which protects from nothing.
    ///
    /// By default it is the authorities that Mozilla trusts. A client's own certificate is in a `TlsClient`
    /// too. Its limit for the handshake does not count here, [`Timeout::connect`] does.
    pub fn verify(mut self, verify: impl Into<Verify>) -> Self {
        self.verify = verify.into();
        self
    }

    /// Every connection goes to this socket of Unix, whatever the address says.
    #[cfg(unix)]
    pub fn uds(mut self, path: impl Into<PathBuf>) -> Self {
        let engine = std::mem::take(&mut self.engine);
        self.engine = engine.unix_socket(path.into());
        self
    }

    /// The address on this side.
    pub fn local_address(mut self, address: impl Into<Option<IpAddr>>) -> Self {
        let engine = std::mem::take(&mut self.engine);
        self.engine = engine.local_address(address.into());
        self
    }

    /// How long it is remembered where a name leads; not at all by default (`ttl_dns_cache` of aiohttp).
    pub fn ttl_dns_cache(mut self, delay: impl Into<MaybeDelay>) -> Self {
        self.ttl_dns_cache = duration(delay);
        self
    }

    /// Whether bodies are asked for in a compressed form, and decompressed; they are by default.
    pub fn decompress(mut self, on: bool) -> Self {
        let engine = std::mem::take(&mut self.engine);
        let engine = engine.gzip(on).deflate(on);
        #[cfg(feature = "brotli")]
        let engine = engine.brotli(on);
        #[cfg(feature = "zstd")]
        let engine = engine.zstd(on);
        self.engine = engine;
        self
    }

    /// Whether a request without a body that changes nothing (GET, HEAD, OPTIONS, TRACE) is sent again when
    /// the server closes a connection, that had served before, instead of an answer; it is by default.
    ///
    /// That happens where a server closes what is idle at the very moment when it is used again.
    pub const fn retry_reused(mut self, on: bool) -> Self {
        self.config.retry_reused = on;
        self
    }

    /// Calls a function before each request, also those that follow a redirect (`event_hooks`). Its error ends
    /// the request.
    pub fn on_request<F>(mut self, hook: F) -> Self
    where
        F: Fn(&mut RequestInfo<'_>) -> Result<()> + Send + Sync + 'static,
    {
        self.config.on_request.push(Arc::new(hook));
        self
    }

    /// Calls a function with the head of each response. Its error ends the request.
    pub fn on_response<F>(mut self, hook: F) -> Self
    where
        F: Fn(&ResponseInfo<'_>) -> Result<()> + Send + Sync + 'static,
    {
        self.config.on_response.push(Arc::new(hook));
        self
    }

    /// Lets a function answer all requests, without a network (`transport=httpx.MockTransport`).
    ///
    /// Limits, redirects, cookies and authentication are as with a server. Of the limits of time `pool`, `read`
    /// and `total` count, by the clock of the loop.
    pub fn transport<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(TransportRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<TransportResponse>> + Send + 'static,
    {
        self.config.transport = Some(Transport::new(answer));
        self
    }

    /// Makes the client.
    ///
    /// # Errors
    ///
    /// [`ValueError`] where an address, a header or a limit makes no sense.
    pub fn build(mut self) -> Result<AsyncClient> {
        if let Some(error) = self.error {
            return Err(error.into());
        }
        let limits = self.config.limits;
        let of_nothing = |most: Option<usize>| most == Some(0);
        if of_nothing(limits.max_connections) || of_nothing(limits.max_connections_per_host) {
            return Err(ValueError::new("a limit of no connections lets nothing through").into());
        }
        if !self.http1 && !self.http2 {
            return Err(ValueError::new("neither HTTP/1 nor HTTP/2 may be spoken").into());
        }
        if !self.config.headers.contains_key(header::USER_AGENT) {
            let agent =
                HeaderValue::from_static(concat!("asyncio-net/", env!("CARGO_PKG_VERSION")));
            self.config.headers.insert(header::USER_AGENT, agent);
        }
        let tls = match self.verify.0 {
            Verifies::Authorities => TlsClient::new()?,
            Verifies::Nobody => TlsClient::builder().verify(false).build()?,
            Verifies::With(tls) => tls,
        };
        let mut tls = (**tls.config()).clone();
        tls.alpn_protocols.clear();
        if self.http2 {
            tls.alpn_protocols.push(b"h2".to_vec());
        }
        if self.http1 {
            tls.alpn_protocols.push(b"http/1.1".to_vec());
        }
        let keep = limits.max_keepalive_connections.unwrap_or(usize::MAX);
        let mut engine = self
            .engine
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(keep)
            .pool_idle_timeout(limits.keepalive_expiry)
            .dns_resolver(Resolver::new(self.ttl_dns_cache))
            .connector_layer(Watching);
        #[cfg(feature = "http2")]
        {
            engine = match (self.http1, self.http2) {
                (true, false) => engine.http1_only(),
                (false, _) => engine.http2_prior_knowledge(),
                _ => engine,
            };
            engine = engine
                .http2_keep_alive_interval(Duration::from_secs(20))
                .http2_keep_alive_timeout(Duration::from_secs(10));
        }
        if !self.config.proxied {
            if self.trust_env {
                self.config.proxied = ["http_proxy", "https_proxy", "all_proxy"]
                    .iter()
                    .any(|name| is_set(name) || is_set(&name.to_uppercase()));
            } else {
                engine = engine.no_proxy();
            }
        }
        let engine = engine
            .build()
            .map_err(|error| asyncio_core::Exception::from(error.without_url()))?;
        Ok(AsyncClient(Arc::new(Inner {
            engine: Mutex::new(Some(engine)),
            pool: Arc::new(Pool::new(&limits)),
            config: self.config,
        })))
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| !value.is_empty())
}

impl fmt::Debug for AsyncClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncClientBuilder")
            .field("timeout", &self.config.timeout)
            .field("limits", &self.config.limits)
            .finish_non_exhaustive()
    }
}

impl RequestInfo<'_> {
    /// The method.
    #[must_use]
    pub const fn method(&self) -> &str {
        self.method
    }

    /// The address.
    #[must_use]
    pub const fn url(&self) -> &str {
        self.url
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        self.headers
    }

    /// The headers, to be changed.
    #[must_use]
    pub const fn headers_mut(&mut self) -> &mut Headers {
        self.headers
    }
}

impl ResponseInfo<'_> {
    /// The method of the request.
    #[must_use]
    pub const fn method(&self) -> &str {
        self.method
    }

    /// The address.
    #[must_use]
    pub const fn url(&self) -> &str {
        self.url
    }

    /// The status.
    #[must_use]
    pub const fn status_code(&self) -> u16 {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        self.headers
    }

    /// How long it took.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        self.elapsed
    }
}
