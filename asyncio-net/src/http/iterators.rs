//! A body piece by piece (`httpx._decoders`).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use asyncio_core::{FutureExt, Result};
use bytes::{Bytes, BytesMut};
use encoding_rs::{Decoder, Encoding, UTF_8};
use futures_core::Stream;
use tokio::time::Instant;

use super::incoming::{Held, Incoming, flatten};

macro_rules! iterator {
    ($type:ident, $item:ty) => {
        impl $type<'_> {
            /// The next one; `None` at the end.
            ///
            /// # Errors
            ///
            /// As of [`StreamingResponse::next_chunk`](super::StreamingResponse::next_chunk).
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost when it is cancelled or dropped: the next call goes on. What has come and was
            /// not given out yet goes with the iterator.
            pub async fn next(&mut self) -> Result<Option<$item>> {
                let next = std::future::poll_fn(|cx| self.poll_item(cx));
                flatten(Held::new(next).cancellable().await)
            }
        }

        impl Stream for $type<'_> {
            type Item = Result<$item>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.get_mut().poll_item(cx).map(Result::transpose)
            }
        }
    };
}

/// The pieces of a body; see [`StreamingResponse::aiter_bytes`](super::StreamingResponse::aiter_bytes).
#[derive(Debug)]
#[must_use = "nothing is read until it is asked for"]
pub struct Chunks<'a> {
    incoming: &'a mut Incoming,
    size: Option<usize>,
    kept: BytesMut,
    since: Option<Instant>,
}

iterator!(Chunks, Vec<u8>);

impl<'a> Chunks<'a> {
    pub(crate) fn new(incoming: &'a mut Incoming, size: Option<usize>) -> Self {
        Self {
            incoming,
            // Of nothing there would be no end.
            size: size.map(|size| size.max(1)),
            kept: BytesMut::new(),
            since: None,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Vec<u8>>>> {
        let Some(size) = self.size else {
            let piece = ready!(self.incoming.poll_chunk(cx, &mut self.since))?;
            return Poll::Ready(Ok(piece.map(Vec::from)));
        };
        loop {
            if self.kept.len() >= size {
                return Poll::Ready(Ok(Some(self.kept.split_to(size).to_vec())));
            }
            match ready!(self.incoming.poll_chunk(cx, &mut self.since))? {
                Some(piece) => self.kept.extend_from_slice(&piece),
                None if self.kept.is_empty() => return Poll::Ready(Ok(None)),
                None => return Poll::Ready(Ok(Some(self.kept.split().to_vec()))),
            }
        }
    }
}

/// The text of a body; see [`StreamingResponse::aiter_text`](super::StreamingResponse::aiter_text).
#[must_use = "nothing is read until it is asked for"]
pub struct Texts<'a> {
    incoming: &'a mut Incoming,
    decoder: Decoder,
    over: bool,
    since: Option<Instant>,
}

iterator!(Texts, String);

impl<'a> Texts<'a> {
    pub(crate) fn new(incoming: &'a mut Incoming, encoding: &'static Encoding) -> Self {
        Self {
            incoming,
            decoder: encoding.new_decoder(),
            over: false,
            since: None,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<String>>> {
        while !self.over {
            let piece = ready!(self.incoming.poll_chunk(cx, &mut self.since))?;
            self.over = piece.is_none();
            let text = decode(&mut self.decoder, &piece.unwrap_or_default(), self.over);
            if !text.is_empty() {
                return Poll::Ready(Ok(Some(text)));
            }
        }
        Poll::Ready(Ok(None))
    }
}

impl std::fmt::Debug for Texts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").finish_non_exhaustive()
    }
}

fn decode(decoder: &mut Decoder, bytes: &Bytes, last: bool) -> String {
    let most = decoder.max_utf8_buffer_length(bytes.len());
    let mut text = String::with_capacity(most.unwrap_or(bytes.len()));
    // There is room for all of it, so that it is all read at once.
    let _ = decoder.decode_to_string(bytes, &mut text, last);
    text
}

/// The lines of a body; see [`StreamingResponse::aiter_lines`](super::StreamingResponse::aiter_lines).
///
/// As in httpx a line ends where `str.splitlines` ends one, so also with a form feed or U+2028. A line has
/// no limit but that of the whole body ([`max_response_size`](super::AsyncClientBuilder::max_response_size)).
#[derive(Debug)]
#[must_use = "nothing is read until it is asked for"]
pub struct Lines<'a> {
    texts: Texts<'a>,
    splitter: Splitter,
}

iterator!(Lines, String);

impl<'a> Lines<'a> {
    pub(crate) fn new(incoming: &'a mut Incoming, encoding: &'static Encoding) -> Self {
        Self {
            texts: Texts::new(incoming, encoding),
            splitter: Splitter::new(is_line_end),
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<String>>> {
        self.splitter.poll_line(|| self.texts.poll_item(cx))
    }
}

const fn is_line_end(character: char) -> bool {
    matches!(
        character,
        '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Text that comes in pieces, as lines.
#[derive(Debug)]
struct Splitter {
    ends: fn(char) -> bool,
    lines: VecDeque<String>,
    begun: String,
    /// The last character was a `\r`: a `\n` belongs to it.
    carriage: bool,
    over: bool,
}

impl Splitter {
    const fn new(ends: fn(char) -> bool) -> Self {
        Self {
            ends,
            lines: VecDeque::new(),
            begun: String::new(),
            carriage: false,
            over: false,
        }
    }

    fn poll_line(
        &mut self,
        mut more: impl FnMut() -> Poll<Result<Option<String>>>,
    ) -> Poll<Result<Option<String>>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Poll::Ready(Ok(Some(line)));
            }
            if self.over {
                return Poll::Ready(Ok(None));
            }
            match ready!(more())? {
                Some(text) => self.feed(&text),
                None => {
                    self.over = true;
                    if !self.begun.is_empty() {
                        self.lines.push_back(std::mem::take(&mut self.begun));
                    }
                }
            }
        }
    }

    fn feed(&mut self, text: &str) {
        let mut rest = text;
        if self.carriage && !rest.is_empty() {
            self.carriage = false;
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        while let Some(at) = rest.find(self.ends) {
            self.begun.push_str(&rest[..at]);
            self.lines.push_back(std::mem::take(&mut self.begun));
            let mut after = rest[at..].chars();
            let end = after.next();
            rest = after.as_str();
            if end == Some('\r') {
                self.carriage = rest.is_empty();
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
        }
        self.begun.push_str(rest);
    }
}

/// An event that a server has sent (`text/event-stream`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerSentEvent {
    /// What kind of event it is; "message" where the server does not say.
    pub event: String,
    /// What it says, line by line.
    pub data: String,
    /// The last identifier that the server has given, to begin with after an interruption
    /// (`Last-Event-ID`).
    pub id: String,
    /// How long to wait before another attempt, where the server says so.
    pub retry: Option<Duration>,
}

/// The events of a body; see [`StreamingResponse::aiter_sse`](super::StreamingResponse::aiter_sse).
///
/// One that has not ended with an empty line when the body ends is left out, as browsers do.
#[derive(Debug)]
#[must_use = "nothing is read until it is asked for"]
pub struct SseEvents<'a> {
    texts: Texts<'a>,
    splitter: Splitter,
    event: String,
    data: Option<String>,
    id: String,
    retry: Option<Duration>,
}

iterator!(SseEvents, ServerSentEvent);

impl<'a> SseEvents<'a> {
    pub(crate) fn new(incoming: &'a mut Incoming) -> Self {
        Self {
            texts: Texts::new(incoming, UTF_8),
            splitter: Splitter::new(|character| matches!(character, '\n' | '\r')),
            event: String::new(),
            data: None,
            id: String::new(),
            retry: None,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<ServerSentEvent>>> {
        loop {
            let line = ready!(self.splitter.poll_line(|| self.texts.poll_item(cx)))?;
            let Some(line) = line else {
                return Poll::Ready(Ok(None));
            };
            if let Some(event) = self.feed(&line) {
                return Poll::Ready(Ok(Some(event)));
            }
        }
    }

    fn feed(&mut self, line: &str) -> Option<ServerSentEvent> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = self.data.take()?;
            return Some(ServerSentEvent {
                event: if event.is_empty() {
                    "message".to_owned()
                } else {
                    event
                },
                data,
                id: self.id.clone(),
                retry: self.retry,
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            "id" if !value.contains('\0') => value.clone_into(&mut self.id),
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis),
            _ => {}
        }
        None
    }
}
