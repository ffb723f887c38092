//! Poolers that lend a server for one transaction.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use asyncio_core::{Result, create_task, sleep, timeout};
use asyncio_db::pg::{Connection, connect, create_pool};
use asyncio_db::testing::PgCluster;

use crate::support::{everywhere, extent, report};

/// Some of everything that a pooler makes difficult, with as many different queries as there are numbers.
async fn ask(connection: &mut Connection, number: i32) -> Result<()> {
    let query = format!("SELECT $1::int + {}, 'n' || $1::text", number % 7);
    let row = connection.fetchrow(&query, (number,)).await?;
    let row = row.expect("there is one");
    assert_eq!(row.get::<i32>(0)?, number + number % 7);
    assert_eq!(row.get::<String>(1)?, format!("n{number}"));
    match number % 10 {
        0 => {
            let mut transaction = connection.transaction().await?;
            let sum: Option<i32> = transaction
                .fetchval("SELECT $1::int * 2", (number,))
                .await?;
            assert_eq!(sum, Some(number * 2));
            transaction.commit().await?;
        }
        1 => {
            let mut pipeline = connection.pipeline();
            let first = pipeline.fetch("SELECT $1::int", (number,));
            let second = pipeline.fetch("SELECT $1::text", (format!("{number}"),));
            let mut results = pipeline.run().await?;
            assert_eq!(results.take(first)?[0].get::<i32>(0)?, number);
            assert_eq!(
                results.take(second)?[0].get::<String>(0)?,
                format!("{number}")
            );
        }
        2 => {
            let rows = connection
                .fetchmany("SELECT $1::int + 1", (0..5).map(|n| (n + number,)))
                .await?;
            assert_eq!(rows[4].get::<i32>(0)?, number + 5);
        }
        3 => {
            let mut rows = connection
                .stream("SELECT generate_series($1::int, $1 + 2)", (number,))
                .await?;
            assert_eq!(rows.next().await?.expect("a row").get::<i32>(0)?, number);
        }
        _ => {}
    }
    Ok(())
}

/// Asks by several connections at once, which have fewer servers than they are.
async fn ask_all(dsn: String, count: usize) -> Result<usize> {
    let pool = create_pool(dsn.clone()).min_size(6).max_size(6).await?;
    let workers: Vec<_> = (0..12)
        .map(|worker| {
            let (pool, dsn) = (pool.clone(), dsn.clone());
            create_task(async move {
                // Half of them without a pool, whose reset a pooler may give to any server.
                let mut own = match worker % 2 {
                    0 => Some(connect(dsn).await?),
                    _ => None,
                };
                for number in 0..count / 12 {
                    let number = i32::try_from(number)? * 12 + worker;
                    match &mut own {
                        Some(connection) => ask(connection, number).await?,
                        None => ask(&mut *pool.acquire().await?, number).await?,
                    }
                }
                Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await?;
    }
    pool.close().await?;
    Ok(count / 12 * 12)
}

/// A pooler that gives each transaction to another server than the one before: no statement that was
/// prepared is there when it is executed, or it is somebody else's. Nobody notices.
#[test]
fn statements_outlive_a_pooler() -> Result<()> {
    everywhere(|cluster| async move {
        let address = pooler(&cluster, 5)?;
        let dsn = format!("postgresql://postgres@{address}/postgres?sslmode=disable");
        let asked = ask_all(dsn, extent(600, 100_000)).await?;
        report(
            "R10",
            format!("{asked} rounds of queries by a pooler that changes servers, 0 errors"),
        );
        Ok(())
    })
}

/// The same with pgbouncer, where there is one.
#[test]
fn statements_outlive_pgbouncer() -> Result<()> {
    everywhere(|cluster| async move {
        let Some(bouncer) = Bouncer::start(&cluster)? else {
            // Written where a person who runs the tests sees it, passed or not.
            let _ = writeln!(io::stderr(), "skipped: no pgbouncer");
            return Ok(());
        };
        let dsn = format!(
            "postgresql://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            bouncer.port
        );
        timeout(60, async {
            while connect(dsn.clone()).await.is_err() {
                sleep(0.02).await?;
            }
            Ok(())
        })
        .await?;
        let asked = ask_all(dsn.clone(), extent(600, 100_000)).await?;
        // A cancellation finds its way through it.
        let pool = create_pool(dsn).min_size(1).max_size(1).await?;
        for _ in 0..extent(5, 500) {
            let slept = timeout(0.005, pool.execute("SELECT pg_sleep(60)", ())).await;
            assert!(slept.is_err());
            assert_eq!(pool.fetchval("SELECT 7", ()).await?, Some(7));
        }
        report(
            "R10",
            format!(
                "{asked} rounds of queries by pgbouncer in transaction mode, 0 errors; {} sleeps cancelled",
                extent(5, 500)
            ),
        );
        Ok(())
    })
}

/// pgbouncer, as long as it is there.
struct Bouncer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Bouncer {
    fn start(cluster: &PgCluster) -> Result<Option<Self>> {
        let mut places: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        // Where Debian has it.
        places.push("/usr/sbin".into());
        let mut programs = places.iter().map(|place| place.join("pgbouncer"));
        let Some(program) = programs.find(|program| program.is_file()) else {
            return Ok(None);
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("asyncio-bouncer-{port}"));
        fs::create_dir(&folder)?;
        let settings = folder.join("pgbouncer.ini");
        let server = cluster.port();
        fs::write(
            &settings,
            format!(
                "[databases]\n\
                 postgres = host=127.0.0.1 port={server} user=postgres pool_size=4\n\
                 [pgbouncer]\n\
                 listen_addr = 127.0.0.1\n\
                 listen_port = {port}\n\
                 unix_socket_dir =\n\
                 auth_type = any\n\
                 pool_mode = transaction\n\
                 logfile = {0}/log\n\
                 pidfile = {0}/pid\n",
                folder.display()
            ),
        )?;
        let mut command = Command::new(program);
        command.arg("--quiet").arg(&settings).stdin(Stdio::null());
        // It refuses root; the owner of the server's folder is somebody else then.
        if let Some((user, group)) = owner(cluster.folder())? {
            chown(&folder, Some(user), Some(group))?;
            chown(&settings, Some(user), Some(group))?;
            command.uid(user).gid(group);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Some(Self {
            child,
            port,
            folder,
        }))
    }
}

/// To whom a folder belongs.
fn owner(folder: &Path) -> io::Result<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt;
    let about = fs::metadata(folder)?;
    let own = fs::metadata("/proc/self")?.uid() == about.uid();
    Ok((!own).then(|| (about.uid(), about.gid())))
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It has no other work than ours, and may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Servers that are lent, the one that came back first is the next.
struct Servers {
    idle: Mutex<VecDeque<UnixStream>>,
    returned: Condvar,
}

/// What the server says when a session has begun, up to its being ready.
type Greeting = Vec<u8>;

/// A pooler of so many servers, which lends one for each transaction. It lasts as long as the process.
fn pooler(cluster: &PgCluster, count: usize) -> Result<SocketAddr> {
    let mut greeting = Greeting::new();
    let mut idle = VecDeque::new();
    for _ in 0..count {
        let mut server = UnixStream::connect(cluster.socket())?;
        let startup = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let length = u32::try_from(startup.len() + 4)?.to_be_bytes();
        server.write_all(&[&length[..], startup].concat())?;
        greeting.clear();
        while pass_one(&mut server, &mut greeting)?.0 != b'Z' {}
        idle.push_back(server);
    }
    let servers = Arc::new(Servers {
        idle: Mutex::new(idle),
        returned: Condvar::new(),
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (servers, greeting) = (Arc::clone(&servers), greeting.clone());
            thread::spawn(move || {
                // A client that goes ends its thread; a server that was lent then is not used again.
                drop(serve(client, &greeting, &servers));
            });
        }
    });
    Ok(address)
}

/// Serves a client until it goes.
fn serve(mut client: TcpStream, greeting: &[u8], servers: &Servers) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut startup = vec![0; u32::from_be_bytes(length) as usize - 4];
    client.read_exact(&mut startup)?;
    if startup.starts_with(&80_877_102_u32.to_be_bytes()) {
        // A request to cancel, which is not passed on.
        return Ok(());
    }
    client.write_all(greeting)?;
    let mut lent: Option<UnixStream> = None;
    loop {
        // As far as the end of what is to be answered.
        let mut said = Vec::new();
        loop {
            match pass_one(&mut client, &mut said)?.0 {
                b'Q' | b'S' => break,
                b'X' => return client.shutdown(Shutdown::Both),
                _ => {}
            }
        }
        let mut server = match lent.take() {
            Some(server) => server,
            None => {
                let idle = servers.idle.lock().expect("no panic");
                let mut idle = servers
                    .returned
                    .wait_while(idle, |idle| idle.is_empty())
                    .expect("no panic");
                idle.pop_front().expect("there is one")
            }
        };
        server.write_all(&said)?;
        let mut answer = Vec::new();
        let status = loop {
            let (tag, last) = pass_one(&mut server, &mut answer)?;
            if tag == b'Z' {
                break last;
            }
        };
        if status == b'I' {
            servers.idle.lock().expect("no panic").push_back(server);
            servers.returned.notify_one();
        } else {
            lent = Some(server);
        }
        client.write_all(&answer)?;
    }
}

/// Moves one message: its tag, and its last byte.
fn pass_one(from: &mut impl Read, to: &mut Vec<u8>) -> io::Result<(u8, u8)> {
    let mut head = [0; 5];
    from.read_exact(&mut head)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
    to.extend_from_slice(&head);
    let begin = to.len();
    to.resize(begin + length, 0);
    from.read_exact(&mut to[begin..])?;
    Ok((head[0], to.last().copied().unwrap_or_default()))
}
