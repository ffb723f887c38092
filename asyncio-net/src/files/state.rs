//! What a file is at, and how it is read and written; all of it blocks.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So much is read at a time, at least.
const BLOCK: usize = 64 * 1024;

/// So much of what is cached is read without another thread.
#[cfg(target_os = "linux")]
const INLINE: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct State {
    pub(super) file: Option<File>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) appends: bool,
    /// What was read and not asked for yet: from `at` on.
    buffer: Vec<u8>,
    at: usize,
    last: Option<(Delivered, Did)>,
}

/// Whether whoever made a call has learned how it ended.
pub(super) type Delivered = Arc<AtomicBool>;

/// What a call has done.
#[derive(Debug)]
pub(super) enum Did {
    Wrote(usize),
    Other,
    Failed(io::ErrorKind),
}

/// What has to be in the buffer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    Bytes(usize),
    Line,
    Lines(u8),
    All,
}

/// Whether there is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes are what was asked for; fewer at the end.
    Bytes(usize),
    /// The file has to be asked, which may take its time.
    Blocks,
}

impl State {
    pub(super) const fn new(file: File, readable: bool, writable: bool, appends: bool) -> Self {
        Self {
            file: Some(file),
            readable,
            writable,
            appends,
            buffer: Vec::new(),
            at: 0,
            last: None,
        }
    }

    pub(super) fn file(&mut self) -> io::Result<&mut File> {
        let closed = || io::Error::other("the file is closed");
        self.file.as_mut().ok_or_else(closed)
    }

    fn readable(&mut self) -> io::Result<&mut File> {
        if !self.readable {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "not readable"));
        }
        self.file()
    }

    fn writable(&mut self) -> io::Result<&mut File> {
        if !self.writable {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "not writable"));
        }
        self.file()
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Takes so many bytes of what was read.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        if self.at == 0 && count == self.buffer.len() {
            return std::mem::take(&mut self.buffer);
        }
        let taken = self.unread()[..count].to_vec();
        self.skip(count);
        taken
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
            // Of a long file that was read at once nothing is kept.
            self.buffer.shrink_to(BLOCK);
        }
    }

    /// Puts back what was taken last.
    pub(super) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(self.unread());
        self.buffer = bytes;
        self.at = 0;
    }

    /// Looks in the buffer, from a place that was not looked at before.
    fn look(&self, need: Need, from: usize) -> Option<usize> {
        let unread = self.unread();
        match need {
            Need::Bytes(count) => (unread.len() >= count).then_some(count),
            Need::Line => memchr::memchr(b'\n', unread.get(from..)?).map(|at| from + at + 1),
            // The end of a line may be a `\r` whose `\n` is still to come.
            Need::Lines(other) => {
                let at = from + memchr::memchr2(b'\n', other, unread.get(from..)?)?;
                match unread[at] {
                    b'\n' => Some(at + 1),
                    _ => Some(at + 1 + usize::from(*unread.get(at + 1)? == b'\n')),
                }
            }
            Need::All => None,
        }
    }

    /// Reads until there is enough, or the end.
    pub(super) fn fill(&mut self, need: Need, may_block: bool) -> io::Result<Found> {
        self.readable()?;
        let mut from = 0;
        loop {
            if let Some(count) = self.look(need, from) {
                return Ok(Found::Bytes(count));
            }
            from = self.unread().len().saturating_sub(1);
            let wanted = match need {
                Need::Bytes(count) => count.saturating_sub(self.unread().len()).max(BLOCK),
                Need::All => self.rest().max(BLOCK),
                Need::Line | Need::Lines(_) => BLOCK,
            };
            match self.read_more(wanted, may_block)? {
                None => return Ok(Found::Blocks),
                Some(0) => return Ok(Found::Bytes(self.unread().len())),
                Some(_) => {}
            }
        }
    }

    /// How much the file may still have.
    fn rest(&mut self) -> usize {
        let Ok(file) = self.file() else {
            return 0;
        };
        let length = file.metadata().map_or(0, |it| it.len());
        let position = file.stream_position().unwrap_or(0);
        // One byte more, so that the end is seen at once.
        usize::try_from(length.saturating_sub(position)).unwrap_or(0) + 1
    }

    /// Reads once; `None` where that may take its time.
    fn read_more(&mut self, wanted: usize, may_block: bool) -> io::Result<Option<usize>> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let had = self.buffer.len();
        let Self { file, buffer, .. } = self;
        let Some(file) = file else {
            return Err(io::Error::other("the file is closed"));
        };
        if !may_block {
            #[cfg(target_os = "linux")]
            {
                if had + wanted > INLINE {
                    return Ok(None);
                }
                buffer.resize(had + wanted, 0);
                let read = read_cached(file, &mut buffer[had..]);
                buffer.truncate(had + read.unwrap_or(0));
                return Ok(read);
            }
            #[cfg(not(target_os = "linux"))]
            return Ok(None);
        }
        let mut limited = file.take(wanted as u64);
        buffer.reserve(wanted);
        // One read where it gives something: who waits for a pipe gets what there is.
        buffer.resize(had + wanted, 0);
        let read = loop {
            match limited.read(&mut buffer[had..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        buffer.truncate(had + *read.as_ref().unwrap_or(&0));
        read.map(Some)
    }

    /// Puts the file's position where the reader is.
    pub(super) fn forget_unread(&mut self) -> io::Result<()> {
        let unread = self.unread().len();
        if unread > 0 {
            let back = i64::try_from(unread).unwrap_or(i64::MAX);
            self.file()?.seek(SeekFrom::Current(-back))?;
        }
        self.buffer.clear();
        self.at = 0;
        Ok(())
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writable()?;
        if !self.appends {
            self.forget_unread()?;
        } else {
            self.buffer.clear();
            self.at = 0;
        }
        self.writable()?.write_all(data)?;
        Ok(data.len())
    }

    pub(super) fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.forget_unread()?;
        self.file()?.seek(to)
    }

    pub(super) fn tell(&mut self) -> io::Result<u64> {
        let unread = self.unread().len() as u64;
        Ok(self.file()?.stream_position()? - unread)
    }

    pub(super) fn truncate(&mut self, length: Option<u64>) -> io::Result<u64> {
        self.forget_unread()?;
        let length = match length {
            Some(length) => length,
            None => self.tell()?,
        };
        self.writable()?.set_len(length)?;
        Ok(length)
    }

    pub(super) fn did(&mut self, delivered: Delivered, did: Did) {
        self.last = Some((delivered, did));
    }

    /// What the last call has done, where nobody has learned of it.
    pub(super) fn interrupted(&mut self) -> Option<Did> {
        let (delivered, did) = self.last.take()?;
        // Acquire, after the Release of the one that has learned of it: nothing else is ordered by it.
        (!delivered.load(Ordering::Acquire)).then_some(did)
    }
}

/// Reads what is in the cache; `None` where it is not, or the file knows nothing of that.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8]) -> Option<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut buffers = [io::IoSliceMut::new(buffer)];
    // From the file's own position, which it moves.
    preadv2(file, &mut buffers, u64::MAX, ReadWriteFlags::NOWAIT).ok()
}
