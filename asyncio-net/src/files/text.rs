//! Files of text (`aiofiles.threadpool.text`).

use asyncio_core::{Result, ValueError};
use encoding_rs::{Encoding, UTF_8};

use super::file::{BinaryFile, Interrupted, Place};
use super::state::{Need, State};

/// An open file of text; see [`open`](super::open). A clone is the same file.
#[derive(Clone, Debug)]
pub struct TextFile {
    file: BinaryFile,
    encoding: &'static Encoding,
    translates: bool,
}

impl TextFile {
    pub(super) const fn new(
        file: BinaryFile,
        encoding: &'static Encoding,
        translates: bool,
    ) -> Self {
        Self {
            file,
            encoding,
            translates,
        }
    }

    /// Takes so many bytes as text. What is no text stays where it is.
    fn take(&self, state: &mut State, count: usize) -> Result<String> {
        if count == state.unread().len() && self.encoding == UTF_8 {
            let text = match String::from_utf8(state.take(count)) {
                Ok(text) => text,
                Err(error) => {
                    let position = error.utf8_error().valid_up_to();
                    state.put_back(error.into_bytes());
                    return Err(not_text(self.encoding, position));
                }
            };
            return Ok(self.translated(text));
        }
        let text = self.decode(&state.unread()[..count])?;
        state.skip(count);
        Ok(self.translated(text))
    }

    fn decode(&self, bytes: &[u8]) -> Result<String> {
        if self.encoding == UTF_8 {
            return match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.to_owned()),
                Err(error) => Err(not_text(self.encoding, error.valid_up_to())),
            };
        }
        let text = self
            .encoding
            .decode_without_bom_handling_and_without_replacement(bytes);
        let text = text.ok_or_else(|| not_text(self.encoding, 0))?;
        Ok(text.into_owned())
    }

    fn translated(&self, text: String) -> String {
        if !self.translates || !text.contains('\r') {
            return text;
        }
        text.replace("\r\n", "\n").replace('\r', "\n")
    }

    fn encode(&self, text: &str) -> Result<Vec<u8>> {
        if self.encoding == UTF_8 {
            return Ok(text.as_bytes().to_vec());
        }
        let (bytes, _, unmappable) = self.encoding.encode(text);
        if unmappable {
            let name = self.encoding.name();
            let message = format!("a character of the text is none in {name}");
            return Err(ValueError::new(message).into());
        }
        Ok(bytes.into_owned())
    }

    /// So many characters, fewer at the end, all up to the end for a negative number (`file.read`).
    ///
    /// # Errors
    ///
    /// An [`io::Error`](std::io::Error); [`ValueError`] where it is no text, which then stays unread;
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, nothing is lost: the next read begins where this one did.
    pub async fn read(&self, count: isize) -> Result<String> {
        let Ok(count) = usize::try_from(count) else {
            let take = |state: &mut State, found| self.take(state, found);
            return self.file.with(Need::All, take).await;
        };
        // As many bytes as it may have, of which what is not needed stays.
        let most = match (self.encoding == UTF_8, self.translates) {
            (true, _) => 4 * count,
            (false, true) => 2 * count,
            (false, false) => count,
        };
        let most = most + usize::from(self.translates && count > 0);
        let take = |state: &mut State, found: usize| {
            let length = self.length(&state.unread()[..found], count);
            self.take(state, length)
        };
        self.file.with(Need::Bytes(most), take).await
    }

    /// How many bytes so many characters are.
    fn length(&self, bytes: &[u8], count: usize) -> usize {
        let mut at = 0;
        for _ in 0..count {
            let Some(first) = bytes.get(at) else {
                return bytes.len();
            };
            at += match first {
                b'\r' if self.translates => 1 + usize::from(bytes.get(at + 1) == Some(&b'\n')),
                0xc0..=0xdf if self.encoding == UTF_8 => 2,
                0xe0..=0xef if self.encoding == UTF_8 => 3,
                0xf0..=0xff if self.encoding == UTF_8 => 4,
                _ => 1,
            };
        }
        at.min(bytes.len())
    }

    /// The next line, with its end; nothing at the end of the file (`file.readline`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn readline(&self) -> Result<String> {
        let need = if self.translates {
            Need::Lines(b'\r')
        } else {
            Need::Line
        };
        let take = |state: &mut State, found| self.take(state, found);
        self.file.with(need, take).await
    }

    /// The next line, with its end; `None` at the end of the file (`async for line in file`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn next_line(&self) -> Result<Option<String>> {
        let line = self.readline().await?;
        Ok((!line.is_empty()).then_some(line))
    }

    /// All lines to the end (`file.readlines`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn readlines(&self) -> Result<Vec<String>> {
        let all = self.read(-1).await?;
        Ok(all.split_inclusive('\n').map(str::to_owned).collect())
    }

    /// Writes all of it, and says how many characters that was (`file.write`).
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::write`]; [`ValueError`] where the encoding has no such character, and nothing is
    /// written.
    ///
    /// # Cancel safety
    ///
    /// As of [`BinaryFile::write`].
    pub async fn write(&self, text: impl AsRef<str>) -> Result<usize> {
        let text = text.as_ref();
        let characters = text.chars().count();
        let bytes = self.encode(text)?;
        self.file.write(bytes).await?;
        Ok(characters)
    }

    /// Writes one after the other (`file.writelines`), in one call.
    ///
    /// # Errors
    ///
    /// As of [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub async fn writelines<L: AsRef<str>>(
        &self,
        lines: impl IntoIterator<Item = L>,
    ) -> Result<()> {
        let mut all = String::new();
        for line in lines {
            all.push_str(line.as_ref());
        }
        self.write(all).await?;
        Ok(())
    }

    /// Goes to a place, in bytes; see [`BinaryFile::seek`].
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::seek`].
    ///
    /// # Cancel safety
    ///
    /// As of [`BinaryFile::seek`].
    pub async fn seek(&self, to: impl Into<Place>) -> Result<u64> {
        self.file.seek(to).await
    }

    /// Where it is, in bytes (`file.tell`).
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::tell`].
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn tell(&self) -> Result<u64> {
        self.file.tell().await
    }

    /// Cuts the file off at this length in bytes, or where it is for `None` (`file.truncate`).
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::truncate`].
    ///
    /// # Cancel safety
    ///
    /// As of [`BinaryFile::write`].
    pub async fn truncate(&self, length: impl Into<Option<u64>>) -> Result<u64> {
        self.file.truncate(length).await
    }

    /// Does nothing; see [`BinaryFile::flush`].
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::flush`].
    ///
    /// # Cancel safety
    ///
    /// It does nothing.
    pub async fn flush(&self) -> Result<()> {
        self.file.flush().await
    }

    /// What a call has done that was cancelled, in bytes; see [`BinaryFile::interrupted`].
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::interrupted`].
    ///
    /// # Cancel safety
    ///
    /// As of [`BinaryFile::interrupted`].
    pub async fn interrupted(&self) -> Result<Option<Interrupted>> {
        self.file.interrupted().await
    }

    /// Closes the file; see [`BinaryFile::close`].
    ///
    /// # Errors
    ///
    /// As of [`BinaryFile::close`].
    ///
    /// # Cancel safety
    ///
    /// As of [`BinaryFile::close`].
    pub async fn close(&self) -> Result<()> {
        self.file.close().await
    }

    /// The same file, as bytes (`file.buffer`).
    #[must_use]
    pub const fn buffer(&self) -> &BinaryFile {
        &self.file
    }
}

fn not_text(encoding: &'static Encoding, position: usize) -> asyncio_core::Exception {
    let name = encoding.name();
    ValueError::new(format!("byte {position} is no text in {name}")).into()
}
