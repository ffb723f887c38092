//! Files over connections (`loop.sendfile`, of `asyncio/base_events.py`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use asyncio_core::{Result, RuntimeError, to_thread};

use crate::streams::StreamWriter;

/// So much is copied at once where the operating system does not send files itself, as in Python.
const PIECE: usize = 256 * 1024;

impl StreamWriter {
    /// Sends a file, from an offset, so many bytes of it or all (`loop.sendfile`); how many were sent.
    ///
    /// Over plain sockets the operating system does it. Elsewhere, as over TLS, the file is read in a
    /// thread and written.
    ///
    /// ```
    /// # use asyncio_core::{Result, run};
    /// # use asyncio_net::{open_connection, start_server};
    /// # use std::io::Write;
    /// # fn main() -> Result<()> {
    /// # let path = std::env::temp_dir().join(format!("asyncio-net-sendfile-{}", std::process::id()));
    /// # std::fs::File::create(&path)?.write_all(b"all of the file")?;
    /// # let theirs = path.clone();
    /// # run(async move {
    /// let server = start_server(move |_, writer| {
    ///     let path = theirs.clone();
    ///     async move {
    ///         writer.sendfile(std::fs::File::open(path)?, 7, None).await?;
    ///         Ok(())
    ///     }
    /// }, "127.0.0.1", 0).await?;
    /// let (reader, _writer) = open_connection("127.0.0.1", server.port()).await?;
    /// assert_eq!(reader.read(-1).await?, b"the file");
    /// # Ok(())
    /// # })?;
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] when the stream is closed; [`std::io::Error`] when the file cannot be read;
    /// otherwise as of [`drain`](Self::drain). What another task writes meanwhile is a [`RuntimeError`]
    /// that its next `drain` raises.
    ///
    /// # Cancel safety
    ///
    /// A part of the file is sent then.
    pub async fn sendfile(&self, file: File, offset: u64, count: Option<u64>) -> Result<u64> {
        if self.is_closing() {
            return Err(RuntimeError::new("Transport is closing").into());
        }
        self.flush().await?;
        let mut sending = Sending {
            writer: self,
            sent: 0,
        };
        let file = Arc::new(file);
        if self.outgoing().lock().begin_sendfile()? {
            sending.natively(&file, offset, count).await?;
        } else {
            sending.by_copying(&file, offset, count).await?;
        }
        Ok(sending.sent)
    }
}

/// While this lives nobody else writes.
struct Sending<'a> {
    writer: &'a StreamWriter,
    sent: u64,
}

impl Sending<'_> {
    fn left(&self, count: Option<u64>) -> usize {
        let left = count.map_or(u64::MAX, |count| count - self.sent);
        usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30)
    }

    async fn natively(&mut self, file: &File, offset: u64, count: Option<u64>) -> Result<()> {
        while self.left(count) > 0 {
            let (at, left) = (offset + self.sent, self.left(count));
            let sent = self.writer.outgoing().sendfile(file, at, left).await?;
            if sent == 0 {
                break;
            }
            self.sent += sent as u64;
        }
        Ok(())
    }

    async fn by_copying(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        count: Option<u64>,
    ) -> Result<()> {
        while self.left(count) > 0 {
            let (at, most) = (offset + self.sent, self.left(count).min(PIECE));
            let file = Arc::clone(file);
            let piece = to_thread(move || -> Result<Vec<u8>> {
                let mut piece = vec![0; most];
                let read = file.read_at(&mut piece, at)?;
                piece.truncate(read);
                Ok(piece)
            });
            let piece = piece.await?;
            if piece.is_empty() {
                break;
            }
            self.writer.write(&piece);
            self.writer.drain().await?;
            self.sent += piece.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.writer.outgoing().lock().sending = false;
    }
}
