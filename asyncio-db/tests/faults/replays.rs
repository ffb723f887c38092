//! Servers that say what no server should: recorded sessions with mistakes in them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use asyncio_core::{Result, create_task, timeout};
use asyncio_db::pg::connect;
use asyncio_db::testing::PgCluster;

use crate::support::{Numbers, everywhere, extent, promised, report};

/// What a server said, each piece with the number of bytes that it had heard by then.
type Recording = Vec<(usize, Vec<u8>)>;

/// What is asked of a server each time, so that a recorded one has the answers.
async fn session(address: SocketAddr) -> Result<()> {
    let limit = Duration::from_millis(150);
    let server = connect(format!(
        "postgresql://postgres@{address}/postgres?sslmode=disable"
    ));
    let server = server
        .timeout(limit)
        .command_timeout(limit)
        .cancel_timeout(limit);
    let mut connection = server.await?;
    let sum: Option<i32> = connection.fetchval("SELECT $1::int + 1", (41,)).await?;
    let query = "SELECT n, repeat('x', n), NULL::text, ARRAY[n, n] FROM generate_series(1, 9) n";
    let rows = connection.fetch(query, ()).await?;
    for row in &rows {
        // What a row holds that has been changed is an error or another value, and no panic.
        let _ = (
            row.get::<i32>(0),
            row.get::<String>(1),
            row.get::<Option<String>>(2),
        );
        let _ = row.get::<Vec<i32>>(3);
        let _ = format!("{row:?}");
    }
    let failed = connection.execute("SELECT 1 / 0", ()).await;
    let mut transaction = connection.transaction().await?;
    let tag = transaction.execute("SELECT 1", ()).await?;
    transaction.rollback().await?;
    let right = sum == Some(42) && rows.len() == 9 && failed.is_err() && tag == "SELECT 1";
    connection.close().await?;
    if right {
        Ok(())
    } else {
        Err(std::io::Error::other("the answers are not those of the recording").into())
    }
}

/// Records a session between a client and a real server.
async fn record(cluster: &PgCluster) -> Result<Recording> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, socket) = (listener.local_addr()?, cluster.socket());
    let pieces = Arc::new(Mutex::new((0_usize, Recording::new())));
    let recorded = Arc::clone(&pieces);
    let recorder = thread::spawn(move || -> std::io::Result<()> {
        let (client, _) = listener.accept()?;
        let server = UnixStream::connect(socket)?;
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        let heard = Arc::clone(&recorded);
        let upwards = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                heard.lock().expect("no panic").0 += count;
                if to_server.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            // Whether it is there still to be told is no matter.
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let (mut from_server, mut to_client) = (server, client);
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            {
                let (heard, pieces) = &mut *recorded.lock().expect("no panic");
                pieces.push((*heard, buffer[..count].to_vec()));
            }
            if to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        upwards.join().expect("no panic");
        Ok(())
    });
    session(address).await?;
    recorder.join().expect("no panic")?;
    let recording = std::mem::take(&mut pieces.lock().expect("no panic").1);
    Ok(recording)
}

/// Says to one client what was recorded, each piece as soon as as much was heard as then.
fn replay(recording: Recording) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> std::io::Result<()> {
        let (mut client, _) = listener.accept()?;
        // A client that says less than it did is waited for no longer than it waits itself.
        client.set_read_timeout(Some(Duration::from_millis(500)))?;
        let (mut heard, mut buffer) = (0, [0; 4096]);
        for (needed, piece) in recording {
            while heard < needed {
                match client.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => heard += count,
                }
            }
            client.write_all(&piece)?;
        }
        linger(&mut client);
        Ok(())
    });
    Ok(address)
}

/// Hears the rest, so that nothing that was sent is lost by closing.
fn linger(client: &mut TcpStream) {
    let mut rest = Vec::new();
    // It may be gone, or say nothing more.
    let _ = client.read_to_end(&mut rest);
}

/// Puts a mistake into a recording.
fn mutate(recording: &mut Recording, numbers: &mut Numbers) {
    let which = numbers.below(recording.len());
    let other = numbers.below(recording.len());
    let repeated = recording[other].1.clone();
    let (_, piece) = &mut recording[which];
    let at = numbers.below(piece.len());
    match numbers.below(8) {
        0 => piece[at] ^= 1 << numbers.below(8),
        1 => piece[at] = u8::try_from(numbers.below(256)).unwrap_or_default(),
        2 => drop(piece.remove(at)),
        3 => piece.insert(at, u8::try_from(numbers.below(256)).unwrap_or_default()),
        4 => piece.truncate(at),
        // Lengths above all: four bytes of one, or of another, or of none.
        5 => {
            let end = piece.len().min(at + 4);
            let lengths = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0; 4], [0, 1, 0, 0]];
            let length = lengths[numbers.below(4)];
            piece[at..end].copy_from_slice(&length[..end - at]);
        }
        6 => piece.extend(repeated),
        _ => piece.reverse(),
    }
}

/// A recorded session is the same again; with mistakes in it, it ends with an error, or with an answer that
/// was changed, but in time, without a panic and without much memory.
#[test]
fn mistakes_of_a_server_are_errors() -> Result<()> {
    everywhere(|cluster| async move {
        let recording = record(&cluster).await?;
        session(replay(recording.clone())?).await?;
        let before = peak();
        let mut numbers = Numbers::new(77);
        for _ in 0..extent(25, 2500) {
            let mut sessions = Vec::new();
            for _ in 0..8 {
                let mut recording = recording.clone();
                for _ in 0..=numbers.below(3) {
                    if recording.iter().all(|(_, piece)| !piece.is_empty()) {
                        mutate(&mut recording, &mut numbers);
                    }
                }
                let address = replay(recording.clone())?;
                sessions.push((recording, create_task(session(address))));
            }
            for (recording, session) in sessions {
                let began = Instant::now();
                let ended = timeout(120, session).await;
                assert!(
                    began.elapsed() < promised(Duration::from_secs(10)),
                    "{recording:?}"
                );
                if let Err(error) = ended {
                    assert!(!error.is_panic(), "{error:?}: {recording:?}");
                }
            }
        }
        let grown = peak().saturating_sub(before);
        assert!(grown < 64 << 10, "{grown} KiB more at the most");
        report(
            "R7",
            format!(
                "{} sessions with mistakes of the server, 0 panics, {grown} KiB more",
                8 * extent(25, 2500)
            ),
        );
        Ok(())
    })
}

/// The most memory that this process has had, in KiB, where the system tells.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
