//! Files of bytes (`aiofiles.threadpool.binary`).

use std::io::{self, SeekFrom};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use asyncio_core::{Result, to_thread};

use super::state::{Did, Found, Need, State};

/// An open file of bytes; see [`open_binary`](super::open_binary). A clone is the same file.
///
/// It is closed when the last clone goes; [`close`](Self::close) says how that went.
#[derive(Clone, Debug)]
pub struct BinaryFile {
    state: Arc<Mutex<State>>,
}

/// What a call has done that was cancelled; see [`BinaryFile::interrupted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interrupted {
    /// It has written all of its so many bytes.
    Wrote(usize),
    /// It has done what it should: moved, cut off, flushed.
    Done,
    /// It has failed.
    Failed(io::ErrorKind),
}

impl BinaryFile {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Looks at the file here, where no other call is at it.
    pub(super) fn at_once<T>(&self, look: impl FnOnce(&mut State) -> T) -> Option<T> {
        match self.state.try_lock() {
            Ok(mut state) => Some(look(&mut state)),
            Err(TryLockError::Poisoned(state)) => Some(look(&mut state.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Does something in another thread that must not be half done.
    async fn call<T, F>(&self, call: F) -> Result<T>
    where
        F: FnOnce(&mut State) -> io::Result<(T, Did)> + Send + 'static,
        T: Send + 'static,
    {
        let delivered = Arc::new(AtomicBool::new(false));
        let (state, told) = (Arc::clone(&self.state), Arc::clone(&delivered));
        let value = to_thread(move || {
            let mut state = lock(&state);
            match call(&mut state) {
                Ok((value, did)) => {
                    state.did(told, did);
                    Ok(value)
                }
                Err(error) => {
                    state.did(told, Did::Failed(error.kind()));
                    Err(error.into())
                }
            }
        })
        .await
        .inspect_err(|error| {
            // Release: see `State::interrupted`.
            delivered.store(!error.is_cancelled(), Ordering::Release);
        })?;
        // Release: as above.
        delivered.store(true, Ordering::Release);
        Ok(value)
    }

    /// Reads until there is as much as is needed, and gives it to a function, which takes what it wants.
    pub(super) async fn with<T>(
        &self,
        need: Need,
        mut take: impl FnMut(&mut State, usize) -> Result<T>,
    ) -> Result<T> {
        let mut may_block = false;
        loop {
            let taken = self.at_once(|state| match state.fill(need, false) {
                Ok(Found::Bytes(count)) => Some(take(state, count)),
                Ok(Found::Blocks) if may_block => {
                    // Another thread has seen the end, and the cache does not tell.
                    let count = state.unread().len();
                    Some(take(state, count))
                }
                Ok(Found::Blocks) => None,
                Err(error) => Some(Err(error.into())),
            });
            if let Some(Some(taken)) = taken {
                return taken;
            }
            // What is read stays in the buffer, whether or not somebody is still there to take it.
            let state = Arc::clone(&self.state);
            to_thread(move || Ok(lock(&state).fill(need, true)?)).await?;
            may_block = true;
        }
    }

    /// So many bytes, fewer at the end, all up to the end for a negative number (`file.read`).
    ///
    /// # Errors
    ///
    /// An [`io::Error`]; [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, nothing is lost: the next read begins where this one did.
    pub async fn read(&self, count: isize) -> Result<Vec<u8>> {
        let need = usize::try_from(count).map_or(Need::All, Need::Bytes);
        self.with(need, |state, found| Ok(state.take(found))).await
    }

    /// Up to the next `\n`, with it; nothing at the end (`file.readline`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`read`](Self::read).
    pub async fn readline(&self) -> Result<Vec<u8>> {
        let take = |state: &mut State, found| Ok(state.take(found));
        self.with(Need::Line, take).await
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
    pub async fn next_line(&self) -> Result<Option<Vec<u8>>> {
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
    pub async fn readlines(&self) -> Result<Vec<Vec<u8>>> {
        let all = self.read(-1).await?;
        let lines = all.split_inclusive(|byte| *byte == b'\n');
        Ok(lines.map(<[u8]>::to_vec).collect())
    }

    /// Writes all of it, and says how much that was (`file.write`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read). After another error part of it may be written.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, it has not begun or is done to its end; see
    /// [`interrupted`](Self::interrupted).
    pub async fn write(&self, data: impl Into<Vec<u8>>) -> Result<usize> {
        let data = data.into();
        self.call(move |state| {
            let count = state.write(&data)?;
            Ok((count, Did::Wrote(count)))
        })
        .await
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
    pub async fn writelines<L: AsRef<[u8]>>(
        &self,
        lines: impl IntoIterator<Item = L>,
    ) -> Result<()> {
        let mut all = Vec::new();
        for line in lines {
            all.extend_from_slice(line.as_ref());
        }
        self.write(all).await?;
        Ok(())
    }

    /// Goes to a place, and says which that is (`file.seek`): from the beginning, or what [`SeekFrom`] says.
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub async fn seek(&self, to: impl Into<Place>) -> Result<u64> {
        let Place(to) = to.into();
        // Nothing of this asks a disk.
        if let Some(place) = self.at_once(|state| state.seek(to)) {
            return Ok(place?);
        }
        self.call(move |state| Ok((state.seek(to)?, Did::Other)))
            .await
    }

    /// Where it is (`file.tell`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// It changes nothing.
    pub async fn tell(&self) -> Result<u64> {
        if let Some(place) = self.at_once(State::tell) {
            return Ok(place?);
        }
        self.call(|state| Ok((state.tell()?, Did::Other))).await
    }

    /// Cuts the file off at this length, or where it is for `None` (`file.truncate`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub async fn truncate(&self, length: impl Into<Option<u64>>) -> Result<u64> {
        let length = length.into();
        self.call(move |state| Ok((state.truncate(length)?, Did::Other)))
            .await
    }

    /// Does nothing, because a write goes to the operating system at once (`file.flush`).
    ///
    /// # Errors
    ///
    /// None, but for a file that is closed.
    ///
    /// # Cancel safety
    ///
    /// It does nothing.
    pub async fn flush(&self) -> Result<()> {
        if let Some(open) = self.at_once(|state| state.file().map(drop)) {
            return Ok(open?);
        }
        self.call(|state| Ok((state.file().map(drop)?, Did::Other)))
            .await
    }

    /// Waits until what was written is on the disk (`os.fsync`).
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub async fn sync_all(&self) -> Result<()> {
        self.call(|state| Ok((state.file()?.sync_all()?, Did::Other)))
            .await
    }

    /// What a call has done that was cancelled: waits for its end. `None` where it has not begun, and where no
    /// call was cancelled.
    ///
    /// # Errors
    ///
    /// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled meanwhile.
    ///
    /// # Cancel safety
    ///
    /// When it is cancelled or dropped, the next call of it tells the same, unless it was at its end already.
    pub async fn interrupted(&self) -> Result<Option<Interrupted>> {
        let state = Arc::clone(&self.state);
        to_thread(move || {
            Ok(lock(&state).interrupted().map(|did| match did {
                Did::Wrote(count) => Interrupted::Wrote(count),
                Did::Other => Interrupted::Done,
                Did::Failed(kind) => Interrupted::Failed(kind),
            }))
        })
        .await
    }

    /// Closes the file, for all clones (`file.close`). A call that was cancelled is waited for.
    ///
    /// # Errors
    ///
    /// As of [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// As of [`write`](Self::write).
    pub async fn close(&self) -> Result<()> {
        // One that was only read has nothing to wait for.
        let read_only = self.at_once(|state| {
            let read_only = !state.writable;
            if read_only {
                state.file = None;
            }
            read_only
        });
        if read_only == Some(true) {
            return Ok(());
        }
        self.call(|state| {
            state.file = None;
            Ok(((), Did::Other))
        })
        .await
    }

    /// Whether it is closed; one that another call is at is not.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.at_once(|state| state.file.is_none()) == Some(true)
    }

    /// Whether it was opened for reading, and is not closed.
    #[must_use]
    pub fn readable(&self) -> bool {
        lock(&self.state).readable
    }

    /// Whether it was opened for writing.
    #[must_use]
    pub fn writable(&self) -> bool {
        lock(&self.state).writable
    }
}

/// Where to go in a file; made of a number, from the beginning, or of a [`SeekFrom`].
#[derive(Clone, Copy, Debug)]
pub struct Place(SeekFrom);

impl From<u64> for Place {
    fn from(place: u64) -> Self {
        Self(SeekFrom::Start(place))
    }
}

impl From<i32> for Place {
    /// Before the beginning is the beginning.
    fn from(place: i32) -> Self {
        Self(SeekFrom::Start(u64::try_from(place).unwrap_or(0)))
    }
}

impl From<SeekFrom> for Place {
    fn from(place: SeekFrom) -> Self {
        Self(place)
    }
}

/// A lock that a panic elsewhere has not left half done: nothing of a user's runs under it.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
