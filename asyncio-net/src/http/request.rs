//! A request that is put together and awaited (`httpx._client`).

use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;

use asyncio_core::Result;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::Serialize;

use super::auth::Auth;
use super::body::Body;
use super::client::AsyncClient;
use super::config::Timeout;
use super::error::{HttpError, HttpErrorKind};
use super::multipart::Multipart;
use super::response::{Response, StreamingResponse};
use super::send;

/// A request that is put together. Awaited, it is sent and its response read.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::http::{AsyncClient, TransportResponse};
///
/// # fn main() -> Result<()> {
/// run(async {
///     // A function that answers in the place of a server.
///     let client = AsyncClient::builder()
///         .transport(async |request| Ok(TransportResponse::new(200).text(request.url())))
///         .build()?;
///     let response = client
///         .get("http://shop.example/cheese")
///         .params([("kind", "blue"), ("max", "3")])
///         .header("accept", "text/plain")
///         .timeout(2.5)
///         .await?;
///     assert_eq!(response.text(), "http://shop.example/cheese?kind=blue&max=3");
///     Ok(())
/// })
/// # }
/// ```
#[must_use = "nothing is sent until it is awaited"]
pub struct Request {
    pub(crate) client: AsyncClient,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) auth: Option<Auth>,
    pub(crate) follow_redirects: Option<bool>,
    /// What is wrong with it, to be said when it is sent.
    pub(crate) error: Option<HttpError>,
}

impl Request {
    pub(crate) fn new(client: &AsyncClient, method: &str, url: &str) -> Self {
        let mut request = Self {
            client: client.clone(),
            method: Method::GET,
            url: url.to_owned(),
            params: Vec::new(),
            headers: HeaderMap::new(),
            cookies: Vec::new(),
            body: Body::empty(),
            timeout: None,
            auth: None,
            follow_redirects: None,
            error: None,
        };
        match Method::from_bytes(method.as_bytes()) {
            Ok(method) => request.method = method,
            Err(error) => request.wrong("this is no method", Some(error.into())),
        }
        request
    }

    /// Keeps the first mistake.
    fn wrong(&mut self, message: &str, source: Option<Box<dyn std::error::Error + Send + Sync>>) {
        if self.error.is_some() {
            return;
        }
        let shown = match reqwest::Url::parse(&self.url) {
            Ok(url) => super::error::public_url(&url),
            Err(_) => String::new(),
        };
        let kind = HttpErrorKind::LocalProtocol;
        let error = HttpError::with_text(kind, &self.method, shown).message(message);
        self.error = Some(match source {
            Some(source) => error.source_is(source),
            None => error,
        });
    }

    /// Sets a header; what the client has under this name is not sent.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
            }
            _ => self.wrong("this is no header", None),
        }
        self
    }

    /// Sets several headers.
    pub fn headers<N, V>(self, headers: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut headers = headers.into_iter();
        headers
            .try_fold(self, |request, (name, value)| {
                Ok::<_, std::convert::Infallible>(request.header(name.as_ref(), value.as_ref()))
            })
            .unwrap_or_else(|never| match never {})
    }

    /// Adds parameters to the address, behind those that it has.
    pub fn params<N, V>(mut self, params: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: ToString,
    {
        let params = params.into_iter();
        let params = params.map(|(name, value)| (name.into(), value.to_string()));
        self.params.extend(params);
        self
    }

    /// Sends a cookie with this request alone.
    pub fn cookie(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cookies.push((name.into(), value.into()));
        self
    }

    /// Sends these bytes, this text or this stream.
    pub fn content(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends a value as JSON.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.typed(Body::from(body), "application/json"),
            Err(error) => self.wrong("this cannot be written as JSON", Some(error.into())),
        }
        self
    }

    /// Sends a form, as a browser does (`data=` of httpx).
    pub fn data<N, V>(mut self, form: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: ToString,
    {
        let mut text = reqwest::Url::parse("form:").ok();
        if let Some(url) = &mut text {
            let mut pairs = url.query_pairs_mut();
            for (name, value) in form {
                pairs.append_pair(name.as_ref(), &value.to_string());
            }
        }
        let text = text.as_ref().and_then(reqwest::Url::query);
        let body = Body::from(text.unwrap_or_default());
        self.typed(body, "application/x-www-form-urlencoded");
        self
    }

    /// Sends a form with files.
    pub fn files(mut self, form: Multipart) -> Self {
        let (body, content_type) = form.into_body();
        self.typed(body, &content_type);
        self
    }

    fn typed(&mut self, body: Body, content_type: &str) {
        self.body = body;
        if let Ok(value) = HeaderValue::try_from(content_type) {
            self.headers.entry(header::CONTENT_TYPE).or_insert(value);
        }
    }

    /// The limits of time for this request, in the place of the client's.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Who asks, in the place of the client's.
    pub fn auth(mut self, auth: impl Into<Auth>) -> Self {
        self.auth = Some(auth.into());
        self
    }

    /// Whether redirects are followed, in the place of what the client does.
    pub const fn follow_redirects(mut self, follow: bool) -> Self {
        self.follow_redirects = Some(follow);
        self
    }

    /// Sends it and leaves the body of the response to be read (`client.stream`).
    ///
    /// # Errors
    ///
    /// As of awaiting the request.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the connection is closed, or of HTTP/2 the stream: the server is not
    /// left to work for nobody, as far as it looks.
    pub async fn stream(self) -> Result<StreamingResponse> {
        Box::pin(send::send(self)).await
    }

    /// Sends it and reads the response; the same as to await it.
    ///
    /// # Errors
    ///
    /// [`HttpError`], which says in which phase; [`CancelledError`](asyncio_core::CancelledError) when the
    /// task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As of [`stream`](Self::stream).
    pub async fn send(self) -> Result<Response> {
        self.await
    }
}

impl IntoFuture for Request {
    type Output = Result<Response>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { send::send(self).await?.aread().await })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
