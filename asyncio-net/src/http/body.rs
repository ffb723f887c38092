//! What is sent along: bytes, a stream, a form (`httpx._content`).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use asyncio_core::{Exception, Result};
use bytes::Bytes;
use futures_core::Stream;
use http_body::{Frame, SizeHint};

use super::exchange::Progress;

/// The body of a request.
///
/// Made of text, of bytes, or [of a stream](Body::stream), which is sent as it comes and can be sent once
/// only: not again after a redirect or for an authentication.
pub struct Body(pub(crate) Kind);

pub(crate) enum Kind {
    Empty,
    Bytes(Bytes),
    /// With how many bytes, where that is known.
    Stream(Option<Pieces>, Option<u64>),
}

/// A stream that is `Sync`, by a lock that is never contended: reqwest asks for that.
pub(crate) struct Pieces(Mutex<Pin<Box<dyn Vectors>>>);

/// A stream of bytes.
trait Vectors: Stream<Item = Result<Vec<u8>>> + Send {}

impl<S: Stream<Item = Result<Vec<u8>>> + Send> Vectors for S {}

impl Pieces {
    fn new(pieces: impl Stream<Item = Result<Vec<u8>>> + Send + 'static) -> Self {
        Self(Mutex::new(Box::pin(pieces)))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let pieces = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = pieces.as_mut().poll_next(cx);
        polled.map(|item| item.map(|piece| piece.map(Bytes::from)))
    }
}

/// So much is handed over at a time, so that it is seen to move.
const PIECE: usize = 64 * 1024;

impl Body {
    /// No body.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that comes piece by piece, of unknown length; an error of it ends the request.
    ///
    /// ```
    /// use asyncio_net::http::Body;
    ///
    /// let lines = futures::stream::iter(["one\n", "two\n"].map(|it| Ok(it.into())));
    /// let body = Body::stream(lines);
    /// ```
    ///
    /// It is polled by the task of the connection, outside any task of asyncio's.
    pub fn stream(pieces: impl Stream<Item = Result<Vec<u8>>> + Send + 'static) -> Self {
        Self(Kind::Stream(Some(Pieces::new(pieces)), None))
    }

    /// As [`stream`](Self::stream), of a length that is known and told to the server.
    pub fn sized_stream(
        length: u64,
        pieces: impl Stream<Item = Result<Vec<u8>>> + Send + 'static,
    ) -> Self {
        Self(Kind::Stream(Some(Pieces::new(pieces)), Some(length)))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        matches!(self.0, Kind::Empty)
    }

    /// Whether it is one that is watched while it is sent.
    pub(crate) const fn uploads(&self) -> bool {
        match &self.0 {
            Kind::Empty => false,
            Kind::Bytes(bytes) => bytes.len() > PIECE,
            Kind::Stream(..) => true,
        }
    }

    /// The body once more; `None` for a stream that is gone.
    pub(crate) fn again(&mut self) -> Option<Self> {
        Some(Self(match &mut self.0 {
            Kind::Empty => Kind::Empty,
            Kind::Bytes(bytes) => Kind::Bytes(bytes.clone()),
            Kind::Stream(pieces, length) => Kind::Stream(Some(pieces.take()?), *length),
        }))
    }

    /// What reqwest sends.
    pub(crate) fn into_sent(self, progress: &Arc<Progress>) -> Option<reqwest::Body> {
        let uploads = self.uploads();
        let (pieces, left): (Source, Option<u64>) = match self.0 {
            Kind::Empty => return None,
            Kind::Bytes(bytes) if !uploads => return Some(reqwest::Body::from(bytes)),
            Kind::Bytes(bytes) => {
                let length = bytes.len() as u64;
                (Source::Bytes(bytes), Some(length))
            }
            Kind::Stream(None, _) => return None,
            Kind::Stream(Some(pieces), length) => (Source::Stream(pieces), length),
        };
        Some(reqwest::Body::wrap(Sent {
            source: pieces,
            left,
            progress: Arc::clone(progress),
        }))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Empty => f.write_str("Body::Empty"),
            Kind::Bytes(bytes) => write!(f, "Body::Bytes({})", bytes.len()),
            Kind::Stream(_, length) => write!(f, "Body::Stream({length:?})"),
        }
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes().to_vec())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Body {
    fn from(bytes: &[u8; N]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }
}

enum Source {
    Bytes(Bytes),
    Stream(Pieces),
}

/// A body on its way.
struct Sent {
    source: Source,
    left: Option<u64>,
    progress: Arc<Progress>,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Exception;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let piece = match &mut this.source {
            Source::Bytes(bytes) if bytes.is_empty() => None,
            Source::Bytes(bytes) => Some(Ok(bytes.split_to(bytes.len().min(PIECE)))),
            Source::Stream(pieces) => match pieces.poll_next(cx) {
                Poll::Ready(piece) => piece,
                Poll::Pending => {
                    this.progress.produces();
                    return Poll::Pending;
                }
            },
        };
        match piece {
            None => {
                this.progress.reads();
                Poll::Ready(None)
            }
            Some(Ok(piece)) => {
                if let Some(left) = &mut this.left {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                if this.left == Some(0) {
                    // Of a length that is known nobody asks for the end.
                    this.progress.reads();
                } else {
                    this.progress.writes();
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
