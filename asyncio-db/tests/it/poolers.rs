//! Behind a pooler that lends a server for one transaction: pgbouncer, where the machine has it.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use asyncio_core::{Result, create_task, sleep, timeout};
use asyncio_db::pg::{connect, create_pool};
use asyncio_db::testing::PgCluster;

use crate::support::{everywhere, scaled};

/// A pgbouncer that ends with its test.
struct Bouncer {
    child: Child,
    config: PathBuf,
    port: u16,
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders
        .map(|folder| folder.join("pgbouncer"))
        .find(|program| program.is_file())
}

impl Bouncer {
    async fn start(program: &Path, cluster: &PgCluster) -> Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            assert!(attempts < 20, "pgbouncer does not begin");
            // A port that was free just now; where it is not any more, another one is tried.
            let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            let name = format!("asyncio-db-bouncer-{}-{port}.ini", std::process::id());
            let config = std::env::temp_dir().join(name);
            let text = format!(
                "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\npool_mode = transaction\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 default_pool_size = 3\nmax_client_conn = 100\nlogfile =\npidfile =\n",
                cluster.folder().display(),
                cluster.port(),
            );
            std::fs::write(&config, text)?;
            let mut command = Command::new(program);
            command.args(["-q", "-u", "postgres"]).arg(&config);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut bouncer = Self {
                child: command.spawn()?,
                config,
                port,
            };
            for _ in 0..600 {
                if bouncer.child.try_wait()?.is_some() {
                    break;
                }
                match connect(bouncer.dsn()).await {
                    Ok(connection) => {
                        connection.close().await?;
                        return Ok(bouncer);
                    }
                    Err(error) if error.is_cancelled() => return Err(error),
                    Err(_) => sleep(0.05).await?,
                }
            }
        }
    }

    fn dsn(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

/// Statements are prepared under names until the pooler turns out to forget them; nobody is told of that.
///
/// With `ASYNCIO_DB_SCALE=50` these are the hundred thousand queries that the project promises.
#[test]
fn a_pooler_that_forgets_statements_is_no_error() -> Result<()> {
    let Some(program) = program() else {
        let _ = writeln!(std::io::stderr(), "skipped: no pgbouncer");
        return Ok(());
    };
    everywhere(move |server| {
        let program = program.clone();
        async move {
            let bouncer = Bouncer::start(&program, server.cluster).await?;
            let pool = create_pool(bouncer.dsn()).min_size(1).max_size(10).await?;
            let each = i64::try_from(scaled(100)).unwrap_or(100);
            let mut workers = Vec::new();
            for worker in 0..10_i64 {
                let pool = pool.clone();
                workers.push(create_task(async move {
                    for round in 0..each {
                        let number = worker * 100_000 + round;
                        let answer = pool.fetchval("SELECT $1::int8", (number,)).await?;
                        assert_eq!(answer, Some(number));
                        let query = format!("SELECT $1::text || '{}'", round % 20);
                        let text: Option<String> = pool.fetchval(&query, ("x",)).await?;
                        assert_eq!(text, Some(format!("x{}", round % 20)));
                    }
                    Ok(())
                }));
            }
            for worker in workers {
                worker.await?;
            }
            // What is cancelled is stopped through it as well.
            for _ in 0..5 {
                let slow = timeout(0.05, pool.execute("SELECT pg_sleep(60)", ())).await;
                assert!(slow.is_err());
                assert_eq!(timeout(60, pool.fetchval("SELECT 1", ())).await?, Some(1));
            }
            pool.close().await?;
            Ok(())
        }
    })
}
