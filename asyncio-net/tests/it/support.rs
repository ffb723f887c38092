//! What the tests share.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use asyncio_core::{Exception, Result, create_task, run, sleep};

/// Runs a test on an event loop of ours, and then on a tokio runtime with two threads.
///
/// None may take longer than a minute, times the scale: a test that hangs fails.
#[track_caller]
pub(crate) fn everywhere<F, Fut>(test: F) -> Result<()>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let on_a_loop = test();
    run(async { in_time(on_a_loop).await }).inspect_err(|error| {
        error.add_note("on an event loop");
    })?;
    on_tokio(test()).inspect_err(|error| error.add_note("on a tokio runtime"))
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

/// Waits, turn by turn, until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) -> Result<()> {
    while !so() {
        sleep(0.001).await?;
    }
    Ok(())
}

/// The kind of an I/O error.
#[track_caller]
pub(crate) fn kind(result: Result<impl Debug>) -> io::ErrorKind {
    let error = result.expect_err("an error was expected");
    error
        .downcast_ref::<io::Error>()
        .unwrap_or_else(|| panic!("{error:?}"))
        .kind()
}

#[track_caller]
pub(crate) fn error_of<E: std::error::Error + 'static>(result: Result<impl Debug>) -> Exception {
    let error = result.expect_err("an error was expected");
    assert!(error.is::<E>(), "{error:?}");
    error
}

/// A certificate for "localhost" that vouches for itself, with its key.
#[cfg(feature = "tls")]
pub(crate) struct Identity {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) der: Vec<u8>,
}

#[cfg(feature = "tls")]
impl Identity {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        let made = made.expect("a certificate can be made");
        Self {
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().to_vec(),
        }
    }

    pub(crate) fn server(&self) -> Result<asyncio_net::TlsServer> {
        asyncio_net::TlsServer::from_pem(&self.pem, &self.key)
    }

    pub(crate) fn client(&self) -> Result<asyncio_net::TlsClient> {
        asyncio_net::TlsClient::builder()
            .root_pem(&self.pem)
            .build()
    }
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

    /// None at all, or a short one, in seconds.
    pub(crate) const fn delay(&mut self) -> f64 {
        [0.0, 0.000_2, 0.002][self.below(3)]
    }

    /// A number below this.
    pub(crate) const fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 11) as usize % limit
    }
}

/// So many times a test is done: the number given, times what the environment says
/// (`ASYNCIO_NET_SCALE`, 1 by default; 100 is the full size).
pub(crate) fn scaled(small: usize) -> usize {
    let scale = std::env::var("ASYNCIO_NET_SCALE").ok();
    let scale = scale.and_then(|scale| scale.parse().ok()).unwrap_or(1);
    small * scale
}

/// Bytes that are told apart by where they are.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    let mut numbers = Numbers::new(count as u64 + 1);
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend_from_slice(&numbers.next().to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// Runs the test of this name in a process of its own, where it is not there yet; `None` once it has
/// ended well there.
pub(crate) fn alone(name: &str) -> Result<Option<Alone>> {
    const CHILD: &str = "ASYNCIO_NET_TEST_ALONE";
    if std::env::var(CHILD).is_ok_and(|it| it == name) {
        return Ok(Some(Alone));
    }
    let status = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, name)
        .stdout(std::process::Stdio::null())
        .status()?;
    assert!(
        status.success(),
        "{name} has failed in a process of its own"
    );
    Ok(None)
}

/// The test has the process for itself.
#[derive(Debug)]
pub(crate) struct Alone;

/// How much memory this process has, in bytes.
pub(crate) fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = pages
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    pages * rustix::param::page_size()
}

/// Figures, for whoever asks for more than the short form.
#[expect(clippy::print_stderr, reason = "nobody is told otherwise")]
pub(crate) fn note(figures: &str) {
    if scaled(1) > 1 {
        eprintln!("{figures}");
    }
}
