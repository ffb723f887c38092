//! From a request to its response: authentication, redirects, limits.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use asyncio_core::{FutureExt, Result, TimeoutError};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Version, header};
use reqwest::Url;
use tokio::time::Instant;

use super::auth::Auth;
use super::body::{Body, Kind};
use super::client::{Inner, RequestInfo, ResponseInfo};
use super::config::Timeout;
use super::error::{HttpError, HttpErrorKind, kind_of_send, public_url};
use super::exchange::{Alarm, Driven, Progress};
use super::headers::Headers;
use super::incoming::{Held, Incoming, Source};
use super::pool::Permit;
use super::request::Request;
use super::response::{Head, Response, StreamingResponse};
use super::transport::{Transport, TransportRequest};

/// A connection that was closed while it was idle may be met so often one after the other.
const STALE: usize = 10;

pub(crate) async fn send(mut request: Request) -> Result<StreamingResponse> {
    if let Some(error) = request.error {
        return Err(error.into());
    }
    let client = request.client;
    let inner = &client.0;
    let mut url = address(inner, &request.method, &request.url, &request.params)?;
    let timeout = request.timeout.unwrap_or(inner.config.timeout);
    let mut auth = request.auth.or_else(|| inner.config.auth.clone());
    if let Some((user, password)) = take_user(&mut url) {
        auth = auth.or(Some(Auth::basic(user, password)));
    }
    let mut headers = inner.config.headers.clone();
    for (name, value) in &request.headers {
        headers.insert(name.clone(), value.clone());
    }
    let began = Instant::now();
    let mut call = Call {
        inner,
        timeout,
        began,
        total: timeout.total.and_then(|total| began.checked_add(total)),
        method: request.method,
        url,
        headers,
        cookies: std::mem::take(&mut request.cookies),
        body: request.body,
        auth,
    };
    let follow = request
        .follow_redirects
        .unwrap_or(inner.config.follow_redirects);
    let mut history: Vec<Response> = Vec::new();
    loop {
        let mut response = call.authenticated().await?;
        let Some(next) = redirect(&response, &call.url) else {
            response.history = history;
            return Ok(response);
        };
        if !follow {
            response.history = history;
            return Ok(response);
        }
        let next = next.ok_or_else(|| {
            call.error(HttpErrorKind::RemoteProtocol)
                .message("the redirect leads to no address")
        })?;
        if history.len() >= inner.config.max_redirects {
            return Err(call.error(HttpErrorKind::TooManyRedirects).into());
        }
        let status = response.status_code();
        history.push(response.passed_over().await?);
        call.redirect(status, next);
    }
}

/// Where a response leads to: `None` for none, `Some(None)` where that is no address.
fn redirect(response: &StreamingResponse, url: &Url) -> Option<Option<Url>> {
    if !response.has_redirect_location() {
        return None;
    }
    let location = response.headers().get("location");
    let next = location.and_then(|location| url.join(location).ok());
    Some(next.map(|mut next| {
        if next.fragment().is_none() {
            next.set_fragment(url.fragment());
        }
        next
    }))
}

/// What is asked for, and how far it has come.
struct Call<'a> {
    inner: &'a Arc<Inner>,
    timeout: Timeout,
    began: Instant,
    total: Option<Instant>,
    method: Method,
    url: Url,
    headers: HeaderMap,
    cookies: Vec<(String, String)>,
    body: Body,
    auth: Option<Auth>,
}

impl Call<'_> {
    fn error(&self, kind: HttpErrorKind) -> HttpError {
        HttpError::new(kind, &self.method, &self.url).exchanged(false, false, self.began.elapsed())
    }

    /// Goes on at another address, with what may be known there.
    fn redirect(&mut self, status: u16, next: Url) {
        let becomes_get = match status {
            303 | 302 => self.method != Method::HEAD,
            301 => self.method == Method::POST,
            _ => false,
        };
        if becomes_get && self.method != Method::GET {
            self.method = Method::GET;
            self.body = Body::empty();
            for name in [
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
                header::CONTENT_ENCODING,
                header::TRANSFER_ENCODING,
            ] {
                self.headers.remove(name);
            }
        }
        if !is_same_origin(&self.url, &next) {
            // Whoever is there has not been meant.
            self.auth = None;
            self.cookies.clear();
            for name in [
                header::AUTHORIZATION,
                header::PROXY_AUTHORIZATION,
                header::COOKIE,
                header::HOST,
            ] {
                self.headers.remove(name);
            }
        }
        self.url = next;
        if let Some((user, password)) = take_user(&mut self.url) {
            self.auth = Some(Auth::basic(user, password));
        }
    }

    /// One request, and a second one where the server wants a proof.
    async fn authenticated(&mut self) -> Result<StreamingResponse> {
        let first = self.auth.as_ref().and_then(Auth::first);
        let response = self.hooked(first).await?;
        let (401, Some(auth)) = (response.status_code(), &self.auth) else {
            return Ok(response);
        };
        let challenges = response.headers().get_list("www-authenticate");
        let Some(answer) = auth.answer(challenges, &self.method, &self.url) else {
            return Ok(response);
        };
        response.aclose().await?;
        self.hooked(Some(answer)).await
    }

    async fn hooked(&mut self, authorization: Option<HeaderValue>) -> Result<StreamingResponse> {
        let config = &self.inner.config;
        if !matches!(self.url.scheme(), "http" | "https") {
            return Err(self.error(HttpErrorKind::UnsupportedProtocol).into());
        }
        let mut headers = Headers(self.headers.clone());
        if let Some(authorization) = authorization {
            // Who sets the header by hand means it.
            let entry = headers.0.entry(header::AUTHORIZATION);
            entry.or_insert(authorization);
        }
        if let Some(cookies) = &config.cookies
            && !headers.0.contains_key(header::COOKIE)
            && let Some(value) = cookies.header(&self.url, &self.cookies)
        {
            headers.0.insert(header::COOKIE, value);
        } else if config.cookies.is_none()
            && let Some(value) = super::Cookies::new().header(&self.url, &self.cookies)
        {
            headers.0.entry(header::COOKIE).or_insert(value);
        }
        if !config.on_request.is_empty() {
            let mut info = RequestInfo {
                method: self.method.as_str(),
                url: self.url.as_str(),
                headers: &mut headers,
            };
            for hook in &config.on_request {
                hook(&mut info)?;
            }
        }
        let response = self.exchanged(&headers.0).await?;
        if let Some(cookies) = &config.cookies {
            cookies.store(&response.head.headers.0, &self.url);
        }
        for hook in &config.on_response {
            hook(&ResponseInfo {
                method: self.method.as_str(),
                url: self.url.as_str(),
                status: response.head.status,
                headers: &response.head.headers,
                elapsed: response.head.elapsed,
            })?;
        }
        Ok(response)
    }

    /// One request on one connection; another attempt where that one had been closed while it was idle.
    async fn exchanged(&mut self, headers: &HeaderMap) -> Result<StreamingResponse> {
        let repeatable =
            self.inner.config.retry_reused && self.body.is_empty() && self.method.is_safe();
        let mut attempts = 0;
        loop {
            let permit = self.permit().await?;
            let body = self
                .body
                .again()
                .ok_or_else(|| self.error(HttpErrorKind::StreamConsumed))?;
            if let Some(transport) = &self.inner.config.transport {
                return self.in_memory(transport, headers, body, permit).await;
            }
            let error = match self.on_wire(headers, body, permit).await? {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            attempts += 1;
            let stale = matches!(
                error.kind(),
                HttpErrorKind::ServerDisconnected | HttpErrorKind::Read
            );
            if !(repeatable && stale && error.reused_connection() && attempts < STALE) {
                return Err(error.into());
            }
        }
    }

    /// Waits for a place within the limits.
    async fn permit(&self) -> Result<Permit> {
        let pool = &self.inner.pool;
        let left = self.left();
        let mut acquiring = pin!(pool.acquire(&self.url));
        // As a rule there is one.
        let first = std::future::poll_fn(|cx| Poll::Ready(acquiring.as_mut().poll(cx))).await;
        let permit = match first {
            Poll::Ready(permit) => permit?,
            Poll::Pending => {
                let limit = match (self.timeout.pool, left) {
                    (Some(pool), Some(left)) => Some(pool.min(left)),
                    (pool, left) => pool.or(left),
                };
                let kind = match self.timeout.pool {
                    Some(pool) if left.is_none_or(|left| pool <= left) => {
                        HttpErrorKind::PoolTimeout
                    }
                    _ => HttpErrorKind::TotalTimeout,
                };
                self.in_time(limit, kind, async { Ok(acquiring.await?) })
                    .await?
            }
        };
        if permit.pool().is_closed() {
            return Err(self.error(HttpErrorKind::Closed).into());
        }
        Ok(permit)
    }

    fn left(&self) -> Option<Duration> {
        let total = self.total?;
        Some(total.saturating_duration_since(Instant::now()))
    }

    /// Waits for something of this process so long, by the clock of the loop.
    async fn in_time<T>(
        &self,
        limit: Option<Duration>,
        kind: HttpErrorKind,
        future: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(limit) = limit else {
            return future.await;
        };
        let timeout = asyncio_core::Timeout::new(limit);
        let result = timeout.run(future).await;
        result.map_err(|error| {
            if timeout.expired() && error.is::<TimeoutError>() {
                self.error(kind).into()
            } else {
                error
            }
        })
    }

    async fn on_wire(
        &self,
        headers: &HeaderMap,
        body: Body,
        permit: Permit,
    ) -> Result<Result<StreamingResponse, HttpError>> {
        let engine = self.inner.engine.lock().clone();
        let Some(engine) = engine else {
            return Ok(Err(self.error(HttpErrorKind::Closed)));
        };
        let began = Instant::now();
        let uploads = body.uploads();
        let progress = Progress::new(&self.timeout, uploads);
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        *request.headers_mut() = headers.clone();
        *request.body_mut() = body.into_sent(&progress);
        let driven = Driven::new(
            engine.execute(request),
            Arc::clone(&progress),
            self.timeout,
            self.total,
        );
        let driven = Held::new(driven).cancellable().await?;
        let failed = |kind: HttpErrorKind| {
            let unsent = matches!(kind.phase(), super::HttpPhase::Connect);
            HttpError::new(kind, &self.method, &self.url).exchanged(
                progress.is_reused(),
                !unsent && progress.is_sent(),
                self.began.elapsed(),
            )
        };
        let (response, alarm) = match driven {
            Ok((Ok(response), alarm)) => (response, alarm),
            Ok((Err(error), _)) => {
                let proxied = self.inner.config.proxied;
                let kind = kind_of_send(&error, proxied, progress.is_writing());
                return Ok(Err(failed(kind).source_is(error.without_url())));
            }
            Err(kind) => return Ok(Err(failed(kind))),
        };
        let mut response = response;
        let head = Head {
            method: self.method.clone(),
            url: self.url.clone(),
            status: response.status().as_u16(),
            version: response.version(),
            headers: Headers(std::mem::take(response.headers_mut())),
            elapsed: began.elapsed(),
        };
        let source = Source::Wire(Box::new(response));
        Ok(Ok(self.streaming(head, source, permit, alarm)))
    }

    async fn in_memory(
        &self,
        transport: &Transport,
        headers: &HeaderMap,
        body: Body,
        permit: Permit,
    ) -> Result<StreamingResponse> {
        let began = Instant::now();
        let request = TransportRequest {
            method: self.method.to_string(),
            url: self.url.clone(),
            headers: Headers(headers.clone()),
            body: collected(body).await?,
        };
        let (limit, kind) = match (self.timeout.read, self.left()) {
            (Some(read), left) if left.is_none_or(|left| read <= left) => {
                (Some(read), HttpErrorKind::ReadTimeout)
            }
            (_, left) => (left, HttpErrorKind::TotalTimeout),
        };
        let answer = self.in_time(limit, kind, transport.answer(request)).await?;
        let head = Head {
            method: self.method.clone(),
            url: self.url.clone(),
            status: answer.status,
            version: Version::HTTP_11,
            headers: answer.headers,
            elapsed: began.elapsed(),
        };
        let source = Source::Memory(answer.body);
        Ok(self.streaming(head, source, permit, Alarm::default()))
    }

    fn streaming(
        &self,
        head: Head,
        source: Source,
        permit: Permit,
        alarm: Alarm,
    ) -> StreamingResponse {
        StreamingResponse {
            head,
            incoming: Incoming {
                source,
                permit: Some(permit),
                alarm,
                read: self.timeout.read,
                total: self.total,
                most: self.inner.config.max_response_size,
                received: 0,
                began: self.began,
                method: self.method.clone(),
                url: self.url.clone(),
            },
            history: Vec::new(),
        }
    }
}

async fn collected(body: Body) -> Result<Bytes> {
    match body.0 {
        Kind::Empty | Kind::Stream(None, _) => Ok(Bytes::new()),
        Kind::Bytes(bytes) => Ok(bytes),
        Kind::Stream(Some(mut pieces), _) => {
            let mut all = BytesMut::new();
            while let Some(piece) = std::future::poll_fn(|cx| pieces.poll_next(cx)).await {
                all.extend_from_slice(&piece?);
            }
            Ok(all.freeze())
        }
    }
}

/// The address as it is sent: behind the client's base, with the parameters.
fn address(inner: &Inner, method: &Method, text: &str, params: &[(String, String)]) -> Result<Url> {
    let wrong = |kind| HttpError::with_text(kind, method, String::new());
    let parsed = Url::parse(text);
    let mut url = match (parsed, &inner.config.base_url) {
        (Ok(url), _) if url.has_host() => url,
        (Ok(url), None) => {
            let kind = HttpErrorKind::UnsupportedProtocol;
            return Err(HttpError::with_text(kind, method, public_url(&url)).into());
        }
        (Err(error), None) => return Err(wrong(HttpErrorKind::InvalidUrl).source_is(error).into()),
        (_, Some(base)) => {
            let mut url = base.clone();
            let (path, query) = match text.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (text, None),
            };
            let (path, fragment) = match path.split_once('#') {
                Some((path, fragment)) => (path, Some(fragment)),
                None => (path, None),
            };
            if !path.is_empty() {
                let folder = base.path().trim_end_matches('/');
                url.set_path(&format!("{folder}/{}", path.trim_start_matches('/')));
            }
            if query.is_some() {
                url.set_query(query);
            }
            if fragment.is_some() {
                url.set_fragment(fragment);
            }
            url
        }
    };
    if !inner.config.params.is_empty() || !params.is_empty() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in inner.config.params.iter().chain(params) {
            pairs.append_pair(name, value);
        }
    }
    Ok(url)
}

/// Takes user and password out of an address.
fn take_user(url: &mut Url) -> Option<(String, String)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let user = unescape(url.username());
    let password = unescape(url.password().unwrap_or_default());
    // These fail for addresses without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some((user, password))
}

/// `%41` as `A`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high)
                    .zip(digit(low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if escaped.is_some() {
            rest = &after[2..];
        }
        bytes.push(escaped.unwrap_or(*first));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether it is the same server; a step from HTTP to HTTPS on the usual ports counts as that.
fn is_same_origin(one: &Url, other: &Url) -> bool {
    let same_host = one.host_str() == other.host_str();
    let port = Url::port_or_known_default;
    let same = one.scheme() == other.scheme() && port(one) == port(other);
    let upgrade = (one.scheme(), port(one)) == ("http", Some(80))
        && (other.scheme(), port(other)) == ("https", Some(443));
    same_host && (same || upgrade)
}
