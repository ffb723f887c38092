//! Answers without a network (`httpx.MockTransport`).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use asyncio_core::{Exception, Result};
use bytes::Bytes;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::headers::Headers;

/// A request as a function sees it that answers in the place of a server.
#[derive(Debug)]
pub struct TransportRequest {
    pub(crate) method: String,
    pub(crate) url: Url,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

/// What such a function answers.
///
/// ```
/// use asyncio_net::http::TransportResponse;
///
/// let response = TransportResponse::new(404).text("no such page").header("x-shard", "7");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct TransportResponse {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

type Answer = Pin<Box<dyn Future<Output = Result<TransportResponse>> + Send>>;

#[derive(Clone)]
pub(crate) struct Transport(Arc<dyn Fn(TransportRequest) -> Answer + Send + Sync>);

impl Transport {
    pub(crate) fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(TransportRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<TransportResponse>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(answer(request))))
    }

    pub(crate) fn answer(&self, request: TransportRequest) -> Answer {
        (self.0)(request)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl TransportRequest {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The path of the address.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The value of a parameter in the address.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<String> {
        let mut pairs = self.url.query_pairs();
        let found = pairs.find(|(it, _)| it == name);
        found.map(|(_, value)| value.into_owned())
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// The body, which is JSON.
    ///
    /// # Errors
    ///
    /// That of `serde_json` where it is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}

impl TransportResponse {
    /// A response without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// Sets a header. One that HTTP does not allow is left out.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Sets the body.
    pub fn content(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into().into();
        self
    }

    /// Sets the body and its type.
    pub fn text(self, text: impl Into<String>) -> Self {
        self.content(text.into().into_bytes())
            .header("content-type", "text/plain; charset=utf-8")
    }

    /// Sets the body, as JSON, and its type.
    ///
    /// # Errors
    ///
    /// That of `serde_json` where the value cannot be written.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Exception> {
        let body = serde_json::to_vec(value)?;
        let response = self.content(body);
        Ok(response.header("content-type", "application/json"))
    }
}
