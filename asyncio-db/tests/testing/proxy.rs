//! The faults of a proxy, in front of sockets that note what arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use asyncio_db::testing::{Cut, Direction, FaultProxy, PgCluster, StopMode};

use super::cluster::soon;

/// A client, the server's end of its connection, and the proxy between them.
struct Three {
    client: TcpStream,
    server: TcpStream,
    proxy: FaultProxy,
}

impl Three {
    fn new() -> Self {
        let (proxy, listener) = idle();
        let (client, server) = connect(&proxy, &listener);
        Self {
            client,
            server,
            proxy,
        }
    }
}

/// A proxy in front of a listener, and no connection yet.
fn idle() -> (FaultProxy, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = FaultProxy::to_tcp(listener.local_addr().expect("an address"));
    (proxy.expect("a proxy"), listener)
}

fn connect(proxy: &FaultProxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let open = proxy.counts().open;
    let client = TcpStream::connect(proxy.address().expect("an address"));
    let client = client.expect("a connection");
    let (server, _) = listener.accept().expect("its other end");
    // The server's end may be there before the proxy knows that it is.
    soon("it is open", || proxy.counts().open > open);
    for stream in [&client, &server] {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a limit");
    }
    (client, server)
}

/// Reads so many bytes.
fn read(mut stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("bytes");
    bytes
}

/// Whether nothing comes for a while.
fn silent(mut stream: &TcpStream) -> bool {
    let usual = stream.read_timeout().expect("a limit");
    stream
        .set_read_timeout(Some(Duration::from_millis(80)))
        .expect("a limit");
    let read = stream.read(&mut [0]);
    stream.set_read_timeout(usual).expect("a limit");
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn without_faults_all_passes_both_ways_and_is_counted() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    let much = vec![b'x'; 300_000];
    std::thread::scope(|scope| {
        scope.spawn(|| server.write_all(&much).expect("written"));
        assert_eq!(read(&client, much.len()), much);
    });
    client.write_all(b"ping").expect("written");
    assert_eq!(read(&server, 4), b"ping");
    soon("all is counted", || {
        let counts = proxy.counts();
        (counts.to_server, counts.to_client) == (4, much.len() as u64)
    });
    assert_eq!((proxy.counts().accepted, proxy.counts().open), (1, 1));
    client.shutdown(std::net::Shutdown::Write).expect("an end");
    assert_eq!(server.read(&mut [0]).expect("an end"), 0);
    // The other way is open still.
    server.write_all(b"pong").expect("written");
    assert_eq!(read(&client, 4), b"pong");
    drop(server);
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    soon("it is closed", || proxy.counts().open == 0);
}

#[test]
fn a_black_hole_keeps_what_it_swallows_until_it_is_healed() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    proxy.black_hole(Direction::ToServer);
    client.write_all(b"lost?").expect("written");
    assert!(silent(&server));
    server.write_all(b"here").expect("written");
    assert_eq!(read(&client, 4), b"here");
    proxy.black_hole(Direction::Both);
    server.write_all(b"too").expect("written");
    assert!(silent(&client));
    // Not even an end is heard.
    drop(server);
    assert!(silent(&client));
    proxy.heal();
    assert_eq!(read(&client, 3), b"too");
}

#[test]
fn a_new_connection_falls_into_the_hole_as_well() {
    let (proxy, listener) = idle();
    proxy.black_hole(Direction::Both);
    let (mut client, server) = connect(&proxy, &listener);
    client.write_all(b"x").expect("written");
    assert!(silent(&server));
    assert_eq!(proxy.counts().accepted, 1);
}

#[test]
fn a_reset_reaches_both_sides() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    proxy.cut(Direction::Both, Cut::Reset);
    for stream in [&mut client, &mut server] {
        let failed = stream.read(&mut [0]).expect_err("no bytes");
        assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    }
    assert_eq!(proxy.counts().open, 0);
}

#[test]
fn a_reset_reaches_a_side_that_does_not_read() {
    let Three {
        mut client,
        server,
        proxy,
        ..
    } = Three::new();
    // More than the systems keep, so that the proxy waits for room.
    client
        .set_write_timeout(Some(Duration::from_millis(300)))
        .expect("a limit");
    let stuck = client.write_all(&vec![0; 64 << 20]);
    assert!(stuck.is_err());
    proxy.cut(Direction::Both, Cut::Reset);
    let failed = client.read(&mut [0]).expect_err("no bytes");
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    drop(server);
}

#[test]
fn a_peers_reset_goes_on_as_one() {
    let Three {
        mut client,
        server,
        proxy: _proxy,
        ..
    } = Three::new();
    socket2::SockRef::from(&server)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(server);
    let failed = client.read(&mut [0]).expect_err("no bytes");
    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_half_close_ends_one_way_only() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    proxy.cut(Direction::ToClient, Cut::HalfClose);
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    client.write_all(b"still").expect("written");
    assert_eq!(read(&server, 5), b"still");
    proxy.cut(Direction::ToServer, Cut::HalfClose);
    assert_eq!(server.read(&mut [0]).expect("an end"), 0);
    soon("it is closed", || proxy.counts().open == 0);
}

#[test]
fn a_connection_is_cut_after_so_many_bytes_each_way() {
    for cut in [Cut::Close, Cut::Reset, Cut::HalfClose, Cut::Silence] {
        for (direction, limit) in [
            (Direction::ToServer, 0_usize),
            (Direction::ToServer, 5),
            (Direction::ToClient, 3),
        ] {
            let (proxy, listener) = idle();
            proxy.cut_after(direction, limit as u64, cut);
            let (mut client, mut server) = connect(&proxy, &listener);
            let (from, to) = match direction {
                Direction::ToServer => (&mut client, &mut server),
                _ => (&mut server, &mut client),
            };
            from.write_all(b"0123456789").expect("written");
            // A reset may overtake the bytes before it.
            if cut != Cut::Reset {
                assert_eq!(read(to, limit), b"0123456789"[..limit]);
            }
            match cut {
                Cut::Silence => assert!(silent(to)),
                Cut::Reset => {
                    let mut rest = Vec::new();
                    let failed = to.read_to_end(&mut rest).expect_err("no end");
                    assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
                    assert!(rest.len() <= limit);
                }
                _ => assert_eq!(to.read(&mut [0]).expect("an end"), 0),
            }
            let passed = proxy.counts();
            assert_eq!(passed.to_server + passed.to_client, limit as u64);
        }
    }
}

#[test]
fn one_byte_at_a_time_is_still_all_of_it() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    proxy.split(Direction::ToClient, 1);
    // The system joins pieces again that come at once.
    proxy.latency(Direction::ToClient, Duration::from_millis(5));
    server.write_all(b"hello, world").expect("written");
    let (mut all, mut reads) = (Vec::new(), 0);
    while all.len() < 12 {
        let mut buffer = [0; 64];
        let count = client.read(&mut buffer).expect("bytes");
        all.extend_from_slice(&buffer[..count]);
        reads += 1;
    }
    assert_eq!(all, b"hello, world");
    assert!(reads > 1);
}

#[test]
fn latency_and_bandwidth_take_their_time() {
    let Three {
        mut client,
        server,
        proxy,
        ..
    } = Three::new();
    proxy.latency(Direction::ToServer, Duration::from_millis(60));
    let began = Instant::now();
    client.write_all(b"x").expect("written");
    read(&server, 1);
    assert!(began.elapsed() >= Duration::from_millis(60));
    proxy.heal();
    proxy.bandwidth(Direction::ToServer, 1_000);
    proxy.split(Direction::ToServer, 20);
    let began = Instant::now();
    client.write_all(&[0; 100]).expect("written");
    read(&server, 100);
    // The last piece is not waited for.
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[test]
fn a_server_that_refuses_resets_until_it_is_healed() {
    let (proxy, listener) = idle();
    proxy.refuse(true);
    let client = TcpStream::connect(proxy.address().expect("an address"));
    // The reset may come before the connection is known to stand.
    if let Ok(mut client) = client {
        let failed = client.read(&mut [0]).expect_err("no bytes");
        assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    }
    proxy.heal();
    let (mut client, server) = connect(&proxy, &listener);
    client.write_all(b"x").expect("written");
    assert_eq!(read(&server, 1), b"x");
}

#[test]
fn a_server_that_is_gone_resets_the_client() {
    let (proxy, listener) = idle();
    drop(listener);
    let client = TcpStream::connect(proxy.address().expect("an address"));
    if let Ok(mut client) = client {
        let failed = client.read(&mut [0]).expect_err("no bytes");
        assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn unix_sockets_are_joined_too_and_removed() {
    let folder = std::env::temp_dir().join(format!("asyncio-db-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (there, here) = (folder.join("there"), folder.join(".s.PGSQL.7"));
    let listener = UnixListener::bind(&there).expect("a socket");
    let proxy = FaultProxy::unix(&here, &there).expect("a proxy");
    let mut client = UnixStream::connect(&here).expect("a connection");
    let (mut server, _) = listener.accept().expect("its other end");
    client.write_all(b"x").expect("written");
    server.read_exact(&mut [0]).expect("a byte");
    proxy.cut(Direction::Both, Cut::Reset);
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    assert!(
        proxy
            .dsn_of("me", "mine")
            .starts_with("postgresql://me@/mine?host=")
    );
    drop(proxy);
    assert!(!here.exists());
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

#[test]
fn a_proxy_that_is_dropped_closes_everything() {
    let Three {
        mut client,
        mut server,
        proxy,
        ..
    } = Three::new();
    let address = proxy.address().expect("an address");
    proxy.black_hole(Direction::Both);
    drop(proxy);
    assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    assert_eq!(server.read(&mut [0]).expect("an end"), 0);
    soon("nobody listens", || TcpStream::connect(address).is_err());
}

#[test]
fn a_cluster_is_reached_through_it_before_and_after_a_restart() {
    let cluster = PgCluster::create().expect("a cluster");
    let proxy = FaultProxy::to_cluster(&cluster).expect("a proxy");
    for _ in 0..2 {
        let mut client = TcpStream::connect(proxy.address().expect("an address"));
        let client = client.as_mut().expect("a connection");
        // A request for TLS, which this server does not speak.
        client
            .write_all(&[0, 0, 0, 8, 4, 210, 22, 47])
            .expect("written");
        assert_eq!(read(client, 1), b"N");
        cluster.restart(StopMode::Fast).expect("it starts again");
        assert_eq!(client.read(&mut [0]).expect("an end"), 0);
    }
}
