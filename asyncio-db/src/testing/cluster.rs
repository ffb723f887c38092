//! A database cluster of a test's own, and its server.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::account::Account;
use super::folder::Folder;
use super::server::{Guarded, eventually};
use super::{Certificates, ClusterError, PgPrograms, admin};

/// The administrator of every cluster.
const ADMIN: &str = "postgres";

/// The role that is known by its certificate.
pub(super) const CERTIFIED: &str = "certified";

/// Who may come in, and how. The first line that fits decides. Those of TLS are left out of a cluster
/// without it, for some builds of the server do not know the words.
const ACCESS: &str = "\
local   all all_scram                scram-sha-256
host    all all_scram  127.0.0.1/32  scram-sha-256
local   all all_md5                  md5
host    all all_md5    127.0.0.1/32  md5
local   all all_plain                password
host    all all_plain  127.0.0.1/32  password
hostssl all tls_only   127.0.0.1/32  trust
host    all tls_only   127.0.0.1/32  reject
hostnossl all no_tls   127.0.0.1/32  trust
host    all no_tls     127.0.0.1/32  reject
hostssl all certified  127.0.0.1/32  cert
host    all certified  127.0.0.1/32  reject
local   all nobody_at_all            reject
host    all nobody_at_all 127.0.0.1/32 reject
local   all all                      trust
host    all all        127.0.0.1/32  trust
local   replication all              trust
host    replication all 127.0.0.1/32 trust
";

/// The roles that the lines above speak of.
const ROLES: &str = "\
SET password_encryption = 'scram-sha-256';
CREATE ROLE all_scram LOGIN PASSWORD 'correct horse';
CREATE ROLE all_plain LOGIN PASSWORD 'correct horse';
SET password_encryption = 'md5';
CREATE ROLE all_md5 LOGIN PASSWORD 'correct horse';
CREATE ROLE tls_only LOGIN;
CREATE ROLE no_tls LOGIN;
CREATE ROLE certified LOGIN;
CREATE ROLE nobody_at_all LOGIN;
";

/// What makes a server quick that need not survive the machine. It survives itself: what it has
/// acknowledged is there after a crash of its own (so `synchronous_commit` stays on).
const SETTINGS: [(&str, &str); 10] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "32MB"),
    ("max_connections", "200"),
    ("max_wal_size", "256MB"),
    ("autovacuum", "off"),
    ("jit", "off"),
    // A client that comes in while the server stops and says nothing keeps it for so long.
    ("authentication_timeout", "5s"),
    ("timezone", "UTC"),
    ("listen_addresses", "127.0.0.1"),
];

/// A server starts, and recovers, within this time even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port that is free now may be taken a moment later; so many are tried.
const PORTS: u32 = 5;

/// How a server is asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopMode {
    /// Transactions are rolled back, clients are told, and all is written.
    Fast,
    /// As in a crash: clients find their connections gone, and the next start recovers.
    Immediate,
}

/// A throw-away cluster of databases with a server of its own.
///
/// The server listens at a Unix socket in the cluster's folder and at a port of 127.0.0.1. It writes
/// nothing to disk on purpose (`fsync` is off). When the value is dropped, and also when the process
/// dies in any other way, the server ends and the folder is removed.
///
/// These roles can log in, beside the administrator `postgres`, whom everything else trusts:
///
/// | role | how |
/// | --- | --- |
/// | `all_scram`, `all_md5`, `all_plain` | the password [`PgCluster::PASSWORD`], asked for by that method |
/// | `tls_only`, `no_tls` | trusted, by TCP only with, or only without, TLS |
/// | `certified` | by TCP and TLS with the client's certificate, see [`certificates`](Self::certificates) |
/// | `nobody_at_all` | never |
///
/// ```
/// use asyncio_db::testing::PgCluster;
///
/// let cluster = PgCluster::builder().setting("max_connections", "7").create()?;
/// let shown = cluster.query("SHOW max_connections")?;
/// assert_eq!(shown, [[Some("7".to_owned())]]);
/// # Ok::<(), asyncio_db::testing::ClusterError>(())
/// ```
#[derive(Debug)]
pub struct PgCluster {
    // Before the folder, so that the server is gone when the folder is removed.
    server: Mutex<Server>,
    programs: PgPrograms,
    account: Account,
    certificates: Option<Certificates>,
    port: u16,
    folder: Folder,
}

/// What changes as the server comes and goes.
#[derive(Debug, Default)]
struct Server {
    running: Option<Guarded>,
    paused: BTreeSet<i32>,
}

impl PgCluster {
    /// The password of the roles that have one.
    pub const PASSWORD: &'static str = "correct horse";

    /// Makes a cluster with the usual settings and starts its server, which takes about a second.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotFound`] where no PostgreSQL is installed; else what has failed.
    pub fn create() -> Result<Self, ClusterError> {
        Self::builder().create()
    }

    /// Makes a cluster with settings of one's own.
    pub fn builder() -> PgClusterBuilder {
        PgClusterBuilder::default()
    }

    /// The cluster that all tests of a process have in common, made at the first call.
    ///
    /// It must be left running; make a database of your own in it with
    /// [`create_database`](Self::create_database).
    ///
    /// # Errors
    ///
    /// As of [`create`](Self::create); the same error at each call.
    pub fn shared() -> Result<&'static Self, &'static ClusterError> {
        static SHARED: OnceLock<Result<PgCluster, ClusterError>> = OnceLock::new();
        SHARED.get_or_init(Self::create).as_ref()
    }

    /// Starts the server if it is not running.
    ///
    /// # Errors
    ///
    /// What has failed, with the end of the server's log.
    pub fn start(&self) -> Result<(), ClusterError> {
        let mut server = self.server();
        if let Some(running) = &mut server.running {
            if running.ended()?.is_none() {
                return Ok(());
            }
            server.running = None;
        }
        server.running = Some(self.launch()?);
        Ok(())
    }

    /// Stops the server and waits for its end. Nothing happens when it is not running.
    ///
    /// Whatever is paused goes on first, for it could not stop otherwise.
    ///
    /// # Errors
    ///
    /// [`ClusterError::TimedOut`] when it does not stop.
    pub fn stop(&self, mode: StopMode) -> Result<(), ClusterError> {
        let mut server = self.server();
        server.resume_all();
        let Some(mut running) = server.running.take() else {
            return Ok(());
        };
        running.signal(match mode {
            StopMode::Fast => Signal::INT,
            StopMode::Immediate => Signal::QUIT,
        });
        match running.wait("stop", PATIENCE) {
            Ok(_status) => Ok(()),
            Err(error) => {
                server.running = Some(running);
                Err(error)
            }
        }
    }

    /// Stops the server and starts it again, at the same addresses.
    ///
    /// # Errors
    ///
    /// Those of [`stop`](Self::stop) and [`start`](Self::start).
    pub fn restart(&self, mode: StopMode) -> Result<(), ClusterError> {
        self.stop(mode)?;
        self.start()
    }

    /// Whether the server is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let mut server = self.server();
        let running = server.running.as_mut();
        running.is_some_and(|running| matches!(running.ended(), Ok(None)))
    }

    /// Stops a process of the server in its tracks (SIGSTOP): a backend, or the server itself, which
    /// then takes no connections.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] when there is no such process.
    pub fn pause(&self, pid: i32) -> Result<(), ClusterError> {
        let mut server = self.server();
        server.signal(pid, Signal::STOP)?;
        server.paused.insert(pid);
        Ok(())
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Io`] when there is no such process.
    pub fn resume(&self, pid: i32) -> Result<(), ClusterError> {
        let mut server = self.server();
        server.paused.remove(&pid);
        server.signal(pid, Signal::CONT)
    }

    /// The number of the server's first process, which takes the connections.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotRunning`].
    pub fn server_pid(&self) -> Result<i32, ClusterError> {
        let server = self.server();
        let running = server.running.as_ref().ok_or(ClusterError::NotRunning)?;
        Ok(running.pid().as_raw_nonzero().get())
    }

    /// The numbers of the processes that serve clients, in the order of their start, without the one
    /// that is asked.
    ///
    /// # Errors
    ///
    /// Those of [`query`](Self::query).
    pub fn backends(&self) -> Result<Vec<i32>, ClusterError> {
        let rows = self.query(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' \
             AND pid <> pg_backend_pid() ORDER BY backend_start, pid",
        )?;
        let pids = rows.iter().flatten().flatten();
        Ok(pids.filter_map(|pid| pid.parse().ok()).collect())
    }

    /// Runs statements as the administrator, on a connection of their own, and returns the rows of all
    /// of them as text.
    ///
    /// # Errors
    ///
    /// [`ClusterError::Server`] is the server's own; [`ClusterError::Io`] when it cannot be reached.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ClusterError> {
        admin::query(&self.socket(), ADMIN, ADMIN, sql)
    }

    /// Makes an empty database with a name of its own, which is dropped with the value.
    ///
    /// # Errors
    ///
    /// Those of [`query`](Self::query).
    pub fn create_database(&self) -> Result<Database<'_>, ClusterError> {
        // Relaxed: nothing but the number itself is told by it.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.query(&format!("CREATE DATABASE {name}"))?;
        Ok(Database {
            cluster: self,
            name,
        })
    }

    /// The address of the administrator's database at the Unix socket.
    #[must_use]
    pub fn dsn(&self) -> String {
        self.dsn_of(ADMIN, ADMIN)
    }

    /// The address of a role and a database at the Unix socket.
    #[must_use]
    pub fn dsn_of(&self, user: &str, database: &str) -> String {
        let folder = self.folder().display();
        let port = self.port;
        format!("postgresql://{user}@/{database}?host={folder}&port={port}")
    }

    /// The address of a role and a database at 127.0.0.1.
    #[must_use]
    pub fn tcp_dsn_of(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The cluster's folder, in which the Unix socket lies.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder().join(format!(".s.PGSQL.{}", self.port))
    }

    /// The port, at 127.0.0.1 and in the name of the socket.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The programs by which it runs.
    #[must_use]
    pub const fn programs(&self) -> &PgPrograms {
        &self.programs
    }

    /// The certificates, of a cluster with TLS.
    #[must_use]
    pub const fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// What the server has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        // Nothing is left half done in it by a panic.
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }

    fn guarded(&self, program: &str, args: &[&str]) -> Result<Guarded, ClusterError> {
        let path = self.programs.folder().join(program);
        let words = [
            &*path.to_string_lossy(),
            "-D",
            &self.data().to_string_lossy(),
        ]
        .iter()
        .chain(args)
        .map(|word| (*word).to_owned())
        .collect::<Vec<_>>();
        Guarded::start(self.account, self.folder(), &self.log_path(), &words)
    }

    fn failed(&self, program: &str) -> ClusterError {
        ClusterError::Failed {
            program: program.to_owned(),
            output: last_lines(&self.log()),
        }
    }

    /// Makes the files of the cluster.
    fn init(&self, settings: &[(String, String)], before: &str) -> Result<(), ClusterError> {
        let args = ["-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
        let mut initdb = self.guarded("initdb", &[&args[..], &["-U", ADMIN]].concat())?;
        if !initdb.wait("make a cluster", PATIENCE)?.success() {
            return Err(self.failed("initdb"));
        }
        let mut text = String::new();
        for (name, value) in settings {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} = {}", quoted(value));
        }
        self.folder.write("data/postgresql.conf", &text)?;
        let mut access = before.to_owned();
        for line in ACCESS.lines() {
            if self.certificates.is_some() || !line.starts_with("hostssl") {
                let _ = writeln!(access, "{line}");
            }
        }
        self.folder.write("data/pg_hba.conf", &access)?;
        Ok(())
    }

    /// Starts the server and waits until it takes connections.
    fn launch(&self) -> Result<Guarded, ClusterError> {
        let port = self.port.to_string();
        let folder = self.folder().to_string_lossy();
        let mut server = self.guarded("postgres", &["-p", &port, "-k", &folder])?;
        let pid = server.pid().as_raw_nonzero().to_string();
        let ready = self.data().join("postmaster.pid");
        eventually("start", PATIENCE, || {
            if server.ended()?.is_some() {
                return Err(self.failed("postgres"));
            }
            // The first line is the process, the eighth its state. The file may be an older server's.
            let lines = fs::read_to_string(&ready).unwrap_or_default();
            let up = lines.lines().next().map(str::trim) == Some(&pid)
                && lines.lines().nth(7).map(str::trim) == Some("ready");
            Ok(up.then_some(()))
        })?;
        Ok(server)
    }
}

impl Drop for PgCluster {
    fn drop(&mut self) {
        // A failure leaves the server to the script that guards it: it ends it once this process, or
        // just this value, has let go of the pipe.
        let _ = self.stop(StopMode::Immediate);
    }
}

impl Server {
    fn signal(&self, pid: i32, signal: Signal) -> Result<(), ClusterError> {
        let no_process = || std::io::ErrorKind::NotFound.into();
        // Numbers up to one are groups of processes, and the first process of the system.
        let process = (pid > 1).then(|| Pid::from_raw(pid)).flatten();
        let what = || format!("send process {pid} a signal");
        let process = process.ok_or_else(|| ClusterError::io(what())(no_process()))?;
        kill_process(process, signal).map_err(|error| ClusterError::io(what())(error.into()))
    }

    fn resume_all(&mut self) {
        for pid in std::mem::take(&mut self.paused) {
            // Those that are gone need not go on.
            let _ = self.signal(pid, Signal::CONT);
        }
    }
}

/// How a cluster is made.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is made before `create`"]
pub struct PgClusterBuilder {
    programs: Option<PgPrograms>,
    settings: Vec<(String, String)>,
    access: String,
    tls: bool,
}

impl PgClusterBuilder {
    /// Uses these programs, instead of those that [`PgPrograms::find`] finds.
    pub fn programs(mut self, programs: PgPrograms) -> Self {
        self.programs = Some(programs);
        self
    }

    /// Sets a parameter of `postgresql.conf`; the last one of a name counts.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a line before those of `pg_hba.conf`.
    pub fn access(mut self, line: &str) -> Self {
        self.access.push_str(line);
        self.access.push('\n');
        self
    }

    /// Makes certificates, and a server that speaks TLS.
    pub const fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Makes the cluster and starts its server.
    ///
    /// # Errors
    ///
    /// [`ClusterError::NotFound`] where no PostgreSQL is installed, [`ClusterError::NoTls`] where it was
    /// built without; else what has failed.
    pub fn create(self) -> Result<PgCluster, ClusterError> {
        let account = Account::choose()?;
        let programs = self.programs.map_or_else(PgPrograms::find, Ok)?;
        let folder = Folder::create(account)?;
        let certificates = self
            .tls
            .then(|| Certificates::create(&folder))
            .transpose()?;
        let mut settings: Vec<(String, String)> = SETTINGS
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        if let Some(certificates) = &certificates {
            let root = certificates.authority();
            for (name, file) in [
                ("ssl_cert_file", certificates.server.as_path()),
                ("ssl_key_file", certificates.server_key.as_path()),
                ("ssl_ca_file", root),
            ] {
                settings.push((name.to_owned(), file.to_string_lossy().into_owned()));
            }
            settings.push(("ssl".to_owned(), "on".to_owned()));
        }
        settings.extend(self.settings);
        let mut cluster = PgCluster {
            server: Mutex::default(),
            programs,
            account,
            certificates,
            port: free_port()?,
            folder,
        };
        cluster.init(&settings, &self.access)?;
        let mut left = PORTS;
        loop {
            match cluster.start() {
                Ok(()) => break,
                // Somebody else was quicker to take the port.
                Err(ClusterError::Failed { output, .. })
                    if left > 1 && output.contains("Address already in use") =>
                {
                    left -= 1;
                    cluster.port = free_port()?;
                }
                Err(ClusterError::Failed { output, .. })
                    if self.tls && output.contains("SSL is not supported") =>
                {
                    return Err(ClusterError::NoTls);
                }
                Err(error) => return Err(error),
            }
        }
        cluster.query(ROLES)?;
        Ok(cluster)
    }
}

/// A database of a test's own, which is dropped with the value.
#[derive(Debug)]
pub struct Database<'a> {
    cluster: &'a PgCluster,
    name: String,
}

impl Database<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address at the Unix socket, for the administrator.
    #[must_use]
    pub fn dsn(&self) -> String {
        self.cluster.dsn_of(ADMIN, &self.name)
    }

    /// Runs statements in it as [`PgCluster::query`] does.
    ///
    /// # Errors
    ///
    /// Those of [`PgCluster::query`].
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, ClusterError> {
        admin::query(&self.cluster.socket(), ADMIN, &self.name, sql)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // A server that is gone takes it along.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let _ = self.cluster.query(&drop);
    }
}

/// A port of 127.0.0.1 that nobody listens at.
///
/// It lies below those that systems give to clients by themselves: of those, one that is free now may be
/// anybody's in a moment, and a client that tries it while the server is down may even reach itself.
fn free_port() -> Result<u16, ClusterError> {
    const FIRST: u32 = 15_000;
    const COUNT: u32 = 15_000;
    // Relaxed: nothing but the number itself is told by it.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that are started one after the other begin far apart.
    let begin = std::process::id().wrapping_mul(7_919);
    let mut failure = std::io::ErrorKind::AddrInUse.into();
    for _ in 0..COUNT {
        let at = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + at).unwrap_or(u16::MAX);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_free) => return Ok(port),
            Err(error) => failure = error,
        }
    }
    Err(ClusterError::io("find a free port")(failure))
}

/// A value as `postgresql.conf` wants it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

/// The end of a log, in one line.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().map(str::trim).collect();
    let lines = &lines[lines.len().saturating_sub(6)..];
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_quoted() {
        assert_eq!(quoted(r"it's \ so"), r"'it''s \\ so'");
    }

    #[test]
    fn the_end_of_a_log_is_one_line() {
        assert_eq!(last_lines("1\n2\n3\n4\n5\n6\n 7\n"), "2; 3; 4; 5; 6; 7");
        assert_eq!(last_lines(""), "");
    }

    #[test]
    fn free_ports_differ_from_call_to_call() {
        let (first, second) = (free_port(), free_port());
        assert_ne!(first.expect("a port"), second.expect("a port"));
    }
}
