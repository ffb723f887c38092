//! What the tests share.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, run, sleep};
use asyncio_db::sqlite::SqliteError;

/// Runs a test on an event loop of ours, and then on a tokio runtime with two threads.
///
/// None may take longer than a minute, times the scale: a test that hangs fails.
#[track_caller]
pub(crate) fn everywhere<F, Fut>(test: F) -> Result<()>
where
    F: Fn(Folder) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let folder = Folder::new();
    let on_a_loop = test(folder.clone());
    run(async { in_time(on_a_loop).await }).inspect_err(|error| {
        error.add_note("on an event loop");
    })?;
    folder.remove();
    let folder = Folder::new();
    on_tokio(test(folder.clone())).inspect_err(|error| error.add_note("on a tokio runtime"))?;
    folder.remove();
    Ok(())
}

/// Runs a test in a task of ours on a tokio runtime with two threads.
pub(crate) fn on_tokio(test: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async { create_task(in_time(test)).await })
}

async fn in_time<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    let most = Duration::from_secs(60) * u32::try_from(scaled(1)).unwrap_or(1);
    let Ok(result) = tokio::time::timeout(most, test).await else {
        panic!("the test hangs");
    };
    result
}

/// A folder of the test's own.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-db-sqlite-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// The database of the test.
    pub(crate) fn db(&self) -> PathBuf {
        self.0.join("test.db")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Removes it with all that is in it; a thread whose connection nobody wants any more may still be about
    /// to make a file there.
    pub(crate) fn remove(&self) {
        let begun = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(&self.0) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The error of SQLite's in a result that has to have one.
#[track_caller]
pub(crate) fn error_of(result: Result<impl Debug>) -> String {
    let error = result.expect_err("an error was expected");
    let error = error.downcast_ref::<SqliteError>();
    error.expect("an error of SQLite's").to_string()
}

/// Whether it failed with an error of SQLite's of which this is so.
pub(crate) fn fails<T>(result: &Result<T>, so: impl Fn(&SqliteError) -> bool) -> bool {
    let error = result.as_ref().err();
    error.and_then(|it| it.downcast_ref()).is_some_and(so)
}

/// Waits, in real time, until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never is");
        sleep(0.001).await?;
    }
    Ok(())
}

/// So many times a test is done: the number given, times what the environment says
/// (`ASYNCIO_DB_SCALE`, 1 by default).
pub(crate) fn scaled(small: usize) -> usize {
    let scale = std::env::var("ASYNCIO_DB_SCALE").ok();
    let scale = scale.and_then(|scale| scale.parse().ok()).unwrap_or(1);
    small * scale
}

/// Numbers that look random and are the same each time (xorshift).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }
}

/// The number of this thread, by which the system lists it.
pub(crate) fn this_thread() -> PathBuf {
    std::fs::read_link("/proc/thread-self").expect("Linux says so")
}

/// Waits until a thread has ended.
pub(crate) async fn thread_is_gone(thread: PathBuf) -> Result<()> {
    let path = Path::new("/proc").join(thread);
    until(|| !path.exists()).await
}

/// Whether this process has a file in this folder open.
pub(crate) fn has_open(folder: &Path) -> bool {
    let files = std::fs::read_dir("/proc/self/fd").expect("Linux says so");
    files
        .flatten()
        .filter_map(|it| std::fs::read_link(it.path()).ok())
        .any(|path| path.starts_with(folder))
}

/// How many threads of this process have this name.
pub(crate) fn threads_named(name: &str) -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux says so");
    threads
        .flatten()
        .filter_map(|it| std::fs::read_to_string(it.path().join("comm")).ok())
        .filter(|it| it.trim_end() == name)
        .count()
}
