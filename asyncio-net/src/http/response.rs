//! What came back (`httpx._models.Response`).

use std::fmt;
use std::time::Duration;

use asyncio_core::Result;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8};
use http::{Method, Version};
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::error::{HttpError, HttpErrorKind};
use super::headers::Headers;
use super::incoming::{Incoming, Source};
use super::iterators::{Chunks, Lines, SseEvents, Texts};

/// A response that has been read (`httpx.Response`).
#[derive(Clone)]
pub struct Response {
    head: Head,
    content: Bytes,
    history: Vec<Self>,
}

/// A response whose body is still to be read (`async with client.stream(…)`).
///
/// It holds its connection, and its place within the [`Limits`](super::Limits), until the body has come to
/// its end or it is dropped. To drop it before the end closes the connection: what the server would still
/// send is for nobody.
pub struct StreamingResponse {
    pub(crate) head: Head,
    pub(crate) incoming: Incoming,
    pub(crate) history: Vec<Response>,
}

#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
    pub(crate) elapsed: Duration,
}

impl Head {
    fn error(&self, kind: HttpErrorKind) -> HttpError {
        HttpError::new(kind, &self.method, &self.url).exchanged(false, true, self.elapsed)
    }

    pub(crate) const fn is_success(&self) -> bool {
        matches!(self.status, 200..300)
    }

    pub(crate) fn raise_for_status(&self) -> Result<()> {
        if self.is_success() {
            return Ok(());
        }
        let message = match self.status {
            100..200 => "an informational response",
            300..400 => "a redirect that was not followed",
            400..500 => "the request is refused",
            _ => "the server has failed",
        };
        let error = self.error(HttpErrorKind::Status).status_is(self.status);
        Err(error.message(message).into())
    }

    /// What the text is written in: what the header says, otherwise UTF-8.
    pub(crate) fn encoding(&self) -> &'static Encoding {
        let content_type = self.headers.get("content-type").unwrap_or_default();
        let mut parameters = content_type.split(';').skip(1);
        let charset = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_it = name.trim().eq_ignore_ascii_case("charset");
            is_it.then(|| value.trim().trim_matches('"'))
        });
        charset
            .and_then(|charset| Encoding::for_label(charset.as_bytes()))
            .unwrap_or(UTF_8)
    }
}

macro_rules! head {
    ($type:ty) => {
        impl $type {
            /// The status, such as 200.
            #[must_use]
            pub const fn status_code(&self) -> u16 {
                self.head.status
            }

            /// What the status means, such as "OK"; nothing where it is not known.
            #[must_use]
            pub fn reason_phrase(&self) -> &'static str {
                let status = http::StatusCode::from_u16(self.head.status).ok();
                let reason = status.and_then(|status| status.canonical_reason());
                reason.unwrap_or_default()
            }

            /// Whether the status says that it was done: 200 to 299.
            #[must_use]
            pub const fn is_success(&self) -> bool {
                self.head.is_success()
            }

            /// Whether the status is one of an error: 400 to 599.
            #[must_use]
            pub const fn is_error(&self) -> bool {
                matches!(self.head.status, 400..600)
            }

            /// Whether it leads to another address.
            #[must_use]
            pub fn has_redirect_location(&self) -> bool {
                matches!(self.head.status, 301 | 302 | 303 | 307 | 308)
                    && self.head.headers.contains("location")
            }

            pub(crate) fn check_status(&self) -> Result<()> {
                self.head.raise_for_status()
            }

            /// The headers.
            #[must_use]
            pub const fn headers(&self) -> &Headers {
                &self.head.headers
            }

            /// The address that has answered, after redirects another one than was asked for.
            #[must_use]
            pub fn url(&self) -> &str {
                self.head.url.as_str()
            }

            /// The method that was asked with.
            #[must_use]
            pub fn method(&self) -> &str {
                self.head.method.as_str()
            }

            /// "HTTP/1.1" or "HTTP/2".
            #[must_use]
            pub const fn http_version(&self) -> &'static str {
                match self.head.version {
                    Version::HTTP_2 => "HTTP/2",
                    Version::HTTP_10 => "HTTP/1.0",
                    _ => "HTTP/1.1",
                }
            }

            /// How long it took until the head of the response was there.
            #[must_use]
            pub const fn elapsed(&self) -> Duration {
                self.head.elapsed
            }

            /// A cookie that this response has set.
            #[must_use]
            pub fn cookie(&self, name: &str) -> Option<String> {
                let mut set = self.head.headers.get_list("set-cookie");
                set.find_map(|text| {
                    let cookie = cookie_store::RawCookie::parse(text).ok()?;
                    (cookie.name() == name).then(|| cookie.value().to_owned())
                })
            }

            /// The responses that have led here, the first one first.
            #[must_use]
            pub fn history(&self) -> &[Response] {
                &self.history
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let status = self.head.status;
                write!(f, "<Response [{status} {}]>", self.reason_phrase())
            }
        }
    };
}

head!(Response);
head!(StreamingResponse);

impl Response {
    /// The body.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// The body, without a copy where it is this response's alone.
    #[must_use]
    pub fn into_content(self) -> Vec<u8> {
        self.content.into()
    }

    /// The body as text, in the encoding that the header names, or UTF-8; what is no text there is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        let (text, _, _) = self.head.encoding().decode(&self.content);
        text.into_owned()
    }

    /// The body, which is JSON.
    ///
    /// # Errors
    ///
    /// [`HttpError`] of the kind [`Decoding`](HttpErrorKind::Decoding) where it is none, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.content).map_err(|error| {
            let kind = HttpErrorKind::Decoding;
            self.head.error(kind).source_is(error).into()
        })
    }

    /// The response, where its status is a success.
    ///
    /// # Errors
    ///
    /// [`HttpError`] of the kind [`Status`](HttpErrorKind::Status) otherwise.
    pub fn raise_for_status(self) -> Result<Self> {
        self.head.raise_for_status()?;
        Ok(self)
    }
}

impl StreamingResponse {
    /// The next piece of the body, as it came; `None` at its end.
    ///
    /// # Errors
    ///
    /// [`HttpError`] when the connection breaks, ends too early, or a limit is reached;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when it is cancelled or dropped: the next call goes on.
    pub async fn next_chunk(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.incoming.chunk().await?.map(Vec::from))
    }

    /// The body in pieces of this size, the last one excepted; as they come for `None`
    /// (`response.aiter_bytes`).
    pub fn aiter_bytes(&mut self, chunk_size: impl Into<Option<usize>>) -> Chunks<'_> {
        Chunks::new(&mut self.incoming, chunk_size.into())
    }

    /// The body as pieces of text (`response.aiter_text`); see [`Response::text`].
    pub fn aiter_text(&mut self) -> Texts<'_> {
        Texts::new(&mut self.incoming, self.head.encoding())
    }

    /// The body as lines, without what ends them (`response.aiter_lines`).
    pub fn aiter_lines(&mut self) -> Lines<'_> {
        Lines::new(&mut self.incoming, self.head.encoding())
    }

    /// The body as events that a server sends (`text/event-stream`).
    pub fn aiter_sse(&mut self) -> SseEvents<'_> {
        SseEvents::new(&mut self.incoming)
    }

    /// Reads the rest of the body (`response.aread`).
    ///
    /// # Errors
    ///
    /// As of [`next_chunk`](Self::next_chunk).
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the connection is closed.
    pub async fn aread(mut self) -> Result<Response> {
        let content = self.incoming.rest(None).await?.unwrap_or_default();
        Ok(self.into_response(content))
    }

    /// Ends it (`response.aclose`): what is left of the body is read when it is no more than 64 KiB, so that the
    /// connection can serve another request; otherwise the connection is closed, as by a drop.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the connection is closed.
    pub async fn aclose(mut self) -> Result<()> {
        match self.incoming.rest(Some(REST)).await {
            Err(error) if error.is_cancelled() => Err(error),
            _ => Ok(()),
        }
    }

    /// The response, where its status is a success.
    ///
    /// # Errors
    ///
    /// As of [`Response::raise_for_status`].
    pub fn raise_for_status(self) -> Result<Self> {
        self.head.raise_for_status()?;
        Ok(self)
    }

    /// Whether the body has been read to its end.
    #[must_use]
    pub const fn is_stream_consumed(&self) -> bool {
        self.incoming.is_over()
    }

    /// The response of one that is passed over: with its body, unless that is long.
    pub(crate) async fn passed_over(mut self) -> Result<Response> {
        let content = match self.incoming.rest(Some(REST)).await {
            Ok(content) => content.unwrap_or_default(),
            Err(error) if error.is_cancelled() => return Err(error),
            Err(_) => Bytes::new(),
        };
        Ok(self.into_response(content))
    }

    fn into_response(mut self, content: Bytes) -> Response {
        self.incoming.end(Source::Over);
        Response {
            head: self.head,
            content,
            history: self.history,
        }
    }
}

/// So much is read for the sake of the connection alone.
const REST: u64 = 64 * 1024;
