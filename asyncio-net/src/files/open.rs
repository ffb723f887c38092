//! Opening files (`aiofiles.open`).

use std::fs::OpenOptions;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use asyncio_core::{Result, ValueError, to_thread};
use encoding_rs::{Encoding, UTF_8};

use super::file::BinaryFile;
use super::state::State;
use super::text::TextFile;

/// Opens a file of text, when it is awaited (`aiofiles.open`).
///
/// The mode is Python's: `r`, `w`, `a` or `x`, and `+` for both ways.
///
/// ```no_run
/// # use asyncio_core::Result;
/// # use asyncio_net::files::open;
/// # async fn example() -> Result<()> {
/// let file = open("old.txt", "r").encoding("iso-8859-15").await?;
/// # Ok(())
/// # }
/// ```
pub fn open(path: impl AsRef<Path>, mode: &str) -> OpenText {
    OpenText {
        file: OpenBinary {
            path: path.as_ref().to_owned(),
            mode: mode.to_owned(),
            binary: false,
        },
        encoding: "utf-8".to_owned(),
        translates: true,
    }
}

/// Opens a file of bytes, when it is awaited (`aiofiles.open` with a `b` in the mode).
///
/// ```
/// # use asyncio_core::{Result, run};
/// # use asyncio_net::files::open_binary;
/// # fn main() -> Result<()> {
/// run(async {
///     let file = open_binary("Cargo.toml", "rb").await?;
///     assert_eq!(file.read(9).await?, b"[package]");
///     assert!(open_binary("Cargo.toml", "r").await.is_err(), "that is the mode of a text");
///     Ok(())
/// })
/// # }
/// ```
pub fn open_binary(path: impl AsRef<Path>, mode: &str) -> OpenBinary {
    OpenBinary {
        path: path.as_ref().to_owned(),
        mode: mode.to_owned(),
        binary: true,
    }
}

/// What [`open`] opens, and how. It is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct OpenText {
    file: OpenBinary,
    encoding: String,
    translates: bool,
}

/// What [`open_binary`] opens. It is awaited.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct OpenBinary {
    path: PathBuf,
    mode: String,
    binary: bool,
}

impl OpenText {
    /// How the characters are written; UTF-8 by default.
    ///
    /// The names are those that the web uses: UTF-8, and encodings with one byte for each character, such as
    /// `iso-8859-15` or `windows-1252`. The latter is also meant by `latin-1` there.
    pub fn encoding(mut self, name: &str) -> Self {
        name.clone_into(&mut self.encoding);
        self
    }

    /// Whether `\r\n` and `\r` are read as `\n`, which they are by default (`newline=None`); otherwise they
    /// stay, and a line ends with `\n` alone (`newline="\n"`).
    pub const fn translate_newlines(mut self, translate: bool) -> Self {
        self.translates = translate;
        self
    }

    async fn open(self) -> Result<TextFile> {
        let encoding = Encoding::for_label(self.encoding.as_bytes());
        let Some(encoding) = encoding.filter(|it| *it == UTF_8 || it.is_single_byte()) else {
            return Err(ValueError::new(format!("unknown encoding: {:?}", self.encoding)).into());
        };
        let file = self.file.open().await?;
        Ok(TextFile::new(file, encoding, self.translates))
    }
}

impl OpenBinary {
    async fn open(self) -> Result<BinaryFile> {
        let mode = Mode::parse(&self.mode, self.binary)?;
        let path = self.path;
        to_thread(move || {
            let file = mode.options().open(path)?;
            Ok(BinaryFile::new(mode.state(file)))
        })
        .await
    }
}

impl IntoFuture for OpenText {
    type Output = Result<TextFile>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl IntoFuture for OpenBinary {
    type Output = Result<BinaryFile>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode {
    kind: char,
    both: bool,
}

impl Mode {
    pub(super) fn parse(text: &str, binary: bool) -> Result<Self, ValueError> {
        let invalid = || ValueError::new(format!("invalid mode: {text:?}"));
        let (mut kind, mut both, mut is_binary, mut is_text) = (None, false, false, false);
        for letter in text.chars() {
            let again = match letter {
                'r' | 'w' | 'a' | 'x' => kind.replace(letter).is_some(),
                '+' => std::mem::replace(&mut both, true),
                'b' => std::mem::replace(&mut is_binary, true),
                't' => std::mem::replace(&mut is_text, true),
                _ => true,
            };
            if again {
                return Err(invalid());
            }
        }
        let kind = kind.ok_or_else(invalid)?;
        if is_binary != binary || is_binary && is_text {
            return Err(ValueError::new(format!(
                "{text:?} is not the mode of a file of {}",
                if binary { "bytes" } else { "text" }
            )));
        }
        Ok(Self { kind, both })
    }

    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options
            .read(self.readable())
            .write(self.kind == 'w' || self.kind == 'x' || self.kind == 'r' && self.both)
            .append(self.kind == 'a')
            .create(self.kind == 'w' || self.kind == 'a')
            .create_new(self.kind == 'x')
            .truncate(self.kind == 'w');
        options
    }

    const fn readable(self) -> bool {
        self.kind == 'r' || self.both
    }

    pub(super) const fn state(self, file: std::fs::File) -> State {
        let writable = self.kind != 'r' || self.both;
        State::new(file, self.readable(), writable, self.kind == 'a')
    }
}
