//! Where rows come from that are copied in, and where they go that are copied out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use asyncio_core::{FutureExt, Result};
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// So much is read at once.
const ROOM: usize = 1 << 16;

/// Where the bytes come from that go into a table: anything that can be read, bytes among them, a file
/// [by its path](file_at), a stream of [chunks].
pub trait CopySource {
    /// Adds the next bytes. False when there are no more.
    fn read_chunk(&mut self, room: &mut BytesMut) -> impl Future<Output = Result<bool>> + Send;
}

/// Where the bytes go that come out of a table: anything that can be written to, a file
/// [by its path](file_at), a function for [each chunk](each_chunk).
pub trait CopySink {
    /// Takes the next bytes; the server waits meanwhile.
    fn write_chunk(&mut self, chunk: &[u8]) -> impl Future<Output = Result<()>> + Send;

    /// These were all.
    fn finish(&mut self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

impl<R: AsyncRead + Send + Unpin> CopySource for R {
    async fn read_chunk(&mut self, room: &mut BytesMut) -> Result<bool> {
        room.reserve(ROOM);
        Ok(self.read_buf(room).cancellable().await?? > 0)
    }
}

impl<W: AsyncWrite + Send + Unpin> CopySink for W {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        Ok(self.write_all(chunk).cancellable().await??)
    }

    async fn finish(&mut self) -> Result<()> {
        Ok(self.flush().cancellable().await??)
    }
}

/// A stream of pieces of bytes, to be copied in.
pub fn chunks<S, B>(stream: S) -> Chunks<S>
where
    S: Stream<Item = Result<B>> + Send + Unpin,
    B: AsRef<[u8]> + Send,
{
    Chunks { stream }
}

/// What [`chunks`] makes.
pub struct Chunks<S> {
    stream: S,
}

impl<S, B> CopySource for Chunks<S>
where
    S: Stream<Item = Result<B>> + Send + Unpin,
    B: AsRef<[u8]> + Send,
{
    async fn read_chunk(&mut self, room: &mut BytesMut) -> Result<bool> {
        let next = std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_next(cx));
        match next.cancellable().await? {
            Some(chunk) => {
                room.extend_from_slice(chunk?.as_ref());
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// A function for each piece of what is copied out; the server waits for it.
pub fn each_chunk<F, Fut>(function: F) -> EachChunk<F>
where
    F: FnMut(Bytes) -> Fut + Send,
    Fut: Future<Output = Result<()>> + Send,
{
    EachChunk { function }
}

/// What [`each_chunk`] makes.
pub struct EachChunk<F> {
    function: F,
}

impl<F, Fut> CopySink for EachChunk<F>
where
    F: FnMut(Bytes) -> Fut + Send,
    Fut: Future<Output = Result<()>> + Send,
{
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        (self.function)(Bytes::copy_from_slice(chunk)).await
    }
}

/// The file at a path, to be read, or to be made and written.
pub fn file_at(path: impl AsRef<Path>) -> FileAt {
    FileAt {
        path: path.as_ref().to_owned(),
        file: None,
    }
}

/// What [`file_at`] makes.
#[derive(Debug)]
pub struct FileAt {
    path: PathBuf,
    file: Option<File>,
}

impl FileAt {
    /// The file, made if it has not been.
    async fn made(&mut self) -> Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(File::create(&self.path).cancellable().await??);
        }
        Ok(self.file.as_mut().expect("it is there from here on"))
    }
}

impl CopySource for FileAt {
    async fn read_chunk(&mut self, room: &mut BytesMut) -> Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path).cancellable().await??),
        };
        file.read_chunk(room).await
    }
}

impl CopySink for FileAt {
    async fn write_chunk(&mut self, chunk: &[u8]) -> Result<()> {
        self.made().await?.write_chunk(chunk).await
    }

    async fn finish(&mut self) -> Result<()> {
        // Where nothing came, there is an empty file.
        self.made().await?.finish().await
    }
}

impl<S> fmt::Debug for Chunks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for EachChunk<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachChunk").finish_non_exhaustive()
    }
}
