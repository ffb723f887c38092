//! Transports and protocols (`test_transports.py`, `test_protocols.py`, `test_buffered_proto.py`, and
//! that part of `test_events.py`).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use asyncio_core::{Exception, Result, create_task, sleep, timeout};
use asyncio_net::{
    AsyncSocket, Buffered, BufferedProtocol, DatagramProtocol, DatagramTransport, Protocol,
    Transport, connect_accepted_socket, create_connection, create_datagram_endpoint, create_server,
    create_unix_datagram_endpoint, create_unix_server, open_connection, open_unix_connection,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{everywhere, pattern, scaled, until};

/// What has happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().expect("nobody panics").push(what.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics").clone()
    }

    fn has(&self, what: &str) -> bool {
        self.all().iter().any(|said| said == what)
    }

    async fn until(&self, what: &str) -> Result<()> {
        let came = timeout(30, until(|| self.has(what))).await;
        assert!(came.is_ok(), "no {what:?} in {:?}", self.all());
        Ok(())
    }
}

/// Writes down what it is called with.
struct Notes {
    log: Log,
    keep_open: bool,
}

impl Notes {
    fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            keep_open: false,
        }
    }
}

impl Protocol for Notes {
    fn connection_made(&mut self, transport: &Transport) {
        assert!(transport.get_extra_info().peername().is_some());
        self.log.add("made");
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) {
        self.log.add(String::from_utf8_lossy(data));
    }

    fn eof_received(&mut self, _transport: &Transport) -> bool {
        self.log.add("eof");
        self.keep_open
    }

    fn connection_lost(&mut self, exception: Option<Exception>) {
        let kind =
            exception.map(|error| error.downcast_ref::<std::io::Error>().map(|it| it.kind()));
        self.log.add(format!("lost {kind:?}"));
    }

    fn pause_writing(&mut self) {
        self.log.add("pause");
    }

    fn resume_writing(&mut self) {
        self.log.add("resume");
    }
}

/// A connection with notes, and its other side.
async fn noted(keep_open: bool) -> Result<(Log, Transport, tokio::net::TcpStream)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let log = Log::default();
    let notes = Notes {
        keep_open,
        ..Notes::new(&log)
    };
    let to = open_connection("127.0.0.1", listener.local_addr()?.port());
    let transport = create_connection(|| notes, to).await?;
    assert_eq!(log.all(), ["made"], "before the call returns");
    Ok((log, transport, listener.accept().await?.0))
}

/// `test_events.EventLoopTestsMixin.test_create_connection`,
/// `test_events.EventLoopTestsMixin.test_create_server`
#[test]
fn a_protocol_is_called_in_the_order_of_what_happens() -> Result<()> {
    everywhere(|| async {
        let (log, transport, mut peer) = noted(false).await?;
        peer.write_all(b"one").await?;
        log.until("one").await?;
        peer.write_all(b"two").await?;
        drop(peer);
        log.until("lost None").await?;
        assert_eq!(log.all(), ["made", "one", "two", "eof", "lost None"]);
        assert!(transport.is_closing());
        Ok(())
    })
}

/// `test_transports.TransportTests.test_writelines`
#[test]
fn the_end_of_one_side_need_not_be_that_of_the_other() -> Result<()> {
    everywhere(|| async {
        let (log, transport, mut peer) = noted(true).await?;
        peer.shutdown().await?;
        log.until("eof").await?;
        assert!(!transport.is_closing());
        transport.writelines(["still", " open"]);
        transport.write_eof()?;
        let mut all = Vec::new();
        peer.read_to_end(&mut all).await?;
        assert_eq!(all, b"still open");
        transport.close();
        log.until("lost None").await?;
        assert_eq!(log.all(), ["made", "eof", "lost None"]);
        Ok(())
    })
}

#[test]
fn a_lost_connection_tells_why() -> Result<()> {
    everywhere(|| async {
        let (log, transport, peer) = noted(false).await?;
        socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO))?;
        drop(peer);
        log.until("lost Some(Some(ConnectionReset))").await?;
        transport.write(b"to nobody");
        transport.close();
        transport.abort();
        sleep(0.01).await?;
        assert_eq!(log.all().len(), 2, "once");
        assert_eq!(ErrorKind::ConnectionReset.to_string(), "connection reset");
        Ok(())
    })
}

/// A peer that answers a close by closing, while another thread is about to look for data: as in
/// Python, where `close` removes the reader, nothing is told any more but the loss.
#[test]
fn nothing_but_the_loss_is_told_after_a_close() -> Result<()> {
    everywhere(|| async {
        for round in 0..scaled(300) {
            let (log, transport, mut peer) = noted(false).await?;
            let reading = create_task(async move {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).await?;
                Ok(all.len())
            });
            let sent = round % 7 * 1_000;
            transport.write(&vec![0; sent]);
            transport.close();
            assert_eq!(reading.await?, sent);
            log.until("lost None").await?;
            assert_eq!(log.all(), ["made", "lost None"]);
        }
        Ok(())
    })
}

/// `test_transports.TransportTests.test_flowcontrol_mixin_set_write_limits`,
/// `test_events` has it for sockets
#[test]
fn a_protocol_is_paused_above_the_mark_and_resumed_below() -> Result<()> {
    everywhere(|| async {
        let (log, transport, mut peer) = noted(false).await?;
        transport.write(&vec![0; 16 << 20]);
        log.until("pause").await?;
        assert!(transport.get_write_buffer_size() > 1 << 16);
        let reading = create_task(async move {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).await?;
            Ok(all.len())
        });
        log.until("resume").await?;
        transport.close();
        assert_eq!(reading.await?, 16 << 20);
        log.until("lost None").await?;
        assert_eq!(log.all(), ["made", "pause", "resume", "lost None"]);
        Ok(())
    })
}

/// `test_events` has it as `test_pause_reading` of sockets
#[test]
fn a_transport_that_is_paused_gives_no_data() -> Result<()> {
    everywhere(|| async {
        let (log, transport, mut peer) = noted(false).await?;
        transport.pause_reading();
        transport.pause_reading();
        assert!(!transport.is_reading());
        sleep(0.005).await?;
        peer.write_all(b"waits").await?;
        sleep(0.02).await?;
        assert_eq!(log.all(), ["made"]);
        transport.resume_reading();
        log.until("waits").await?;
        assert!(transport.is_reading());
        transport.close();
        assert!(!transport.is_reading());
        log.until("lost None").await
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server`,
/// `test_events.EventLoopTestsMixin.test_create_unix_server`
#[test]
fn a_server_makes_a_protocol_for_each_connection() -> Result<()> {
    struct Echo;
    impl Protocol for Echo {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) {
            transport.write(data);
        }
    }
    everywhere(|| async {
        let path = std::env::temp_dir().join(format!("asyncio-net-proto-{}", std::process::id()));
        let server = create_server(|| Echo, "127.0.0.1", 0).await?;
        let unix = create_unix_server(|| Echo, &path).await?;
        let data = pattern(3 << 20);
        for over_unix in [false, true, false] {
            let (reader, writer) = if over_unix {
                open_unix_connection(&path).await?
            } else {
                open_connection("127.0.0.1", server.port()).await?
            };
            let sent = data.clone();
            let sending = create_task(async move {
                writer.write(&sent);
                writer.drain().await?;
                Ok(writer)
            });
            assert!(reader.readexactly(3 << 20).await? == data);
            sending.await?.close();
        }
        unix.close();
        server.close();
        server.wait_closed().await
    })
}

/// `test_buffered_proto.BaseTestBufferedProtocol.test_buffered_proto_create_connection`
#[test]
fn a_buffered_protocol_says_where_bytes_go() -> Result<()> {
    struct Client {
        buffer: [u8; 100],
        count: usize,
        log: Log,
    }
    impl BufferedProtocol for Client {
        fn get_buffer(&mut self, sizehint: usize) -> &mut [u8] {
            assert!(sizehint > 0);
            &mut self.buffer
        }
        fn buffer_updated(&mut self, transport: &Transport, count: usize) {
            assert!(self.buffer[..count].iter().all(|byte| *byte == b'x'));
            self.count += count;
            if self.count == 100_000 {
                transport.write(b"done");
            }
        }
        fn connection_lost(&mut self, exception: Option<Exception>) {
            self.log
                .add(format!("lost {} {}", self.count, exception.is_none()));
        }
    }
    everywhere(|| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let log = Log::default();
        let client = Client {
            buffer: [0; 100],
            count: 0,
            log: log.clone(),
        };
        let to = open_connection("127.0.0.1", listener.local_addr()?.port());
        create_connection(|| Buffered::new(client), to).await?;
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(&[b'x'; 100_000]).await?;
        let mut done = [0; 4];
        peer.read_exact(&mut done).await?;
        assert_eq!(&done, b"done");
        drop(peer);
        log.until("lost 100000 true").await
    })
}

#[test]
fn a_buffered_protocol_without_room_ends_its_connection() -> Result<()> {
    struct Full(Log);
    impl BufferedProtocol for Full {
        fn get_buffer(&mut self, _sizehint: usize) -> &mut [u8] {
            &mut []
        }
        fn buffer_updated(&mut self, _transport: &Transport, _count: usize) {
            self.0.add("updated");
        }
        fn connection_lost(&mut self, exception: Option<Exception>) {
            self.0.add(format!("lost {exception:?}"));
        }
    }
    everywhere(|| async {
        let log = Log::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let to = open_connection("127.0.0.1", listener.local_addr()?.port());
        create_connection(|| Buffered::new(Full(log.clone())), to).await?;
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(b"x").await?;
        until(|| !log.all().is_empty()).await?;
        let expected = "lost Some(RuntimeError(\"get_buffer() returned an empty buffer\"))";
        assert_eq!(log.all(), [expected]);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_connect_accepted_socket`
#[test]
fn a_connection_may_have_been_accepted_elsewhere() -> Result<()> {
    everywhere(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let (_, writer) = open_connection("127.0.0.1", listener.local_addr()?.port()).await?;
        let log = Log::default();
        let notes = Notes::new(&log);
        connect_accepted_socket(|| notes, listener.accept()?.0).await?;
        writer.write(b"data");
        log.until("data").await?;
        writer.close();
        log.until("lost None").await
    })
}

/// A protocol that panics ends its own connection, and no other.
#[test]
fn a_protocol_that_panics_loses_its_connection() -> Result<()> {
    struct Bad;
    impl Protocol for Bad {
        fn data_received(&mut self, _transport: &Transport, _data: &[u8]) {
            panic!("out of cheese");
        }
    }
    everywhere(|| async {
        let server = create_server(|| Bad, "127.0.0.1", 0).await?;
        let (reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        let (_other, other) = open_connection("127.0.0.1", server.port()).await?;
        writer.write(b"x");
        // The end, or a reset.
        let _ = reader.read(1).await;
        assert!(reader.at_eof() || reader.exception().is_some());
        until(|| server.connections() == 1).await?;
        drop(other);
        Ok(())
    })
}

/// `test_sslproto.SslProtoHandshakeTests.test_set_new_app_protocol` and what `set_protocol` does
/// elsewhere
#[test]
fn another_protocol_is_called_from_when_it_is_set() -> Result<()> {
    struct Second(Log);
    impl Protocol for Second {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) {
            self.0.add(format!("2 {}", String::from_utf8_lossy(data)));
            // From within a call, the next call is another's.
            transport.set_protocol(Notes::new(&self.0));
        }
    }
    impl Drop for Second {
        fn drop(&mut self) {
            self.0.add("dropped");
        }
    }
    everywhere(|| async {
        let (log, transport, mut peer) = noted(false).await?;
        peer.write_all(b"one").await?;
        log.until("one").await?;
        transport.set_protocol(Second(log.clone()));
        peer.write_all(b"two").await?;
        log.until("2 two").await?;
        peer.write_all(b"three").await?;
        log.until("three").await?;
        drop(peer);
        log.until("lost None").await?;
        let expected = [
            "made",
            "one",
            "2 two",
            "dropped",
            "three",
            "eof",
            "lost None",
        ];
        assert_eq!(log.all(), expected);
        // Nobody is called any more, and nothing is kept.
        transport.set_protocol(Second(log.clone()));
        assert_eq!(log.all().last().map(String::as_str), Some("dropped"));
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_server_trsock` has it for a server's sockets
#[test]
fn the_socket_of_a_connection_can_be_asked_and_set() -> Result<()> {
    everywhere(|| async {
        let (log, transport, peer) = noted(false).await?;
        let socket = transport.get_extra_info().socket().expect("over TCP");
        assert_eq!(socket.family()?, socket2::Domain::IPV4);
        assert_eq!(socket.socket_type()?, socket2::Type::STREAM);
        assert_eq!(socket.proto()?, Some(socket2::Protocol::TCP));
        assert_eq!(socket.getpeername()?, Some(peer.local_addr()?));
        assert_eq!(socket.getsockname()?, Some(peer.peer_addr()?));
        assert!(socket.fileno()? > 2);
        assert!(socket.dup()?.tcp_nodelay()?, "as in Python");
        socket.dup()?.set_tcp_nodelay(false)?;
        assert!(!socket.dup()?.tcp_nodelay()?);
        socket.shutdown(std::net::Shutdown::Both)?;
        log.until("lost None").await?;
        let closed = socket.getpeername();
        assert_eq!(crate::support::kind(closed), ErrorKind::NotConnected);
        assert!(transport.get_extra_info().socket().is_none());
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
        let (_reader, writer) = open_unix_connection("").unix_sock(ours).await?;
        let socket = writer.get_extra_info().socket().expect("over a socket");
        assert_eq!(socket.family()?, socket2::Domain::UNIX);
        assert_eq!(socket.getpeername()?, None);
        let (_theirs, ours) = std::io::pipe()?;
        let pipe = asyncio_net::connect_write_pipe(ours)?;
        assert!(pipe.get_extra_info().socket().is_none());
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_create_connection_sock`
#[test]
fn a_socket_that_is_connected_becomes_a_connection() -> Result<()> {
    everywhere(|| async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let client = AsyncSocket::tcp(address)?;
        client.sock_connect(address).await?;
        let socket: std::os::fd::OwnedFd = client.socket().try_clone()?.into();
        drop(client);
        let log = Log::default();
        let notes = Notes::new(&log);
        let to = open_connection("", 0).sock(socket.into());
        let transport = create_connection(|| notes, to).await?;
        let (mut peer, _) = listener.accept().await?;
        peer.write_all(b"data").await?;
        log.until("data").await?;
        transport.close();
        // The end arrives: nothing else holds the socket.
        assert_eq!(peer.read(&mut [0; 1]).await?, 0);
        log.until("lost None").await
    })
}

/// `test_base_events` has it as `test_getnameinfo`
#[test]
fn an_address_has_a_name() -> Result<()> {
    everywhere(|| async {
        let address: SocketAddr = "127.0.0.1:80".parse()?;
        let numbers = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
        let names = asyncio_net::getnameinfo(address, numbers).await?;
        assert_eq!(names, ("127.0.0.1".to_owned(), "80".to_owned()));
        let (host, _) = asyncio_net::getnameinfo(address, libc::NI_NUMERICSERV).await?;
        assert!(!host.is_empty());
        let wrong = asyncio_net::getnameinfo(address, 1 << 30).await;
        crate::support::error_of::<std::io::Error>(wrong);
        Ok(())
    })
}

struct Datagrams(Log);

impl DatagramProtocol for Datagrams {
    fn connection_made(&mut self, _transport: &DatagramTransport) {
        self.0.add("made");
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: SocketAddr) {
        self.0.add(String::from_utf8_lossy(data));
        if transport.peername().is_none() {
            transport.sendto(&[b"resp:", data].concat(), Some(from));
        }
    }

    fn error_received(&mut self, exception: Exception) {
        let kind = exception
            .downcast_ref::<std::io::Error>()
            .map(|error| error.kind());
        self.0.add(format!("error {kind:?}"));
    }

    fn connection_lost(&mut self, exception: Option<Exception>) {
        self.0.add(format!("lost {}", exception.is_none()));
    }
}

/// `test_events.EventLoopTestsMixin.test_create_datagram_endpoint`
#[test]
fn datagrams_come_and_go() -> Result<()> {
    everywhere(|| async {
        let (server_log, client_log) = (Log::default(), Log::default());
        let (theirs, ours) = (server_log.clone(), client_log.clone());
        let server = create_datagram_endpoint(|| Datagrams(theirs))
            .local_addr("127.0.0.1:0".parse()?)
            .await?;
        let address = server.sockname().expect("bound");
        let client = create_datagram_endpoint(|| Datagrams(ours))
            .remote_addr(address)
            .await?;
        assert_eq!(client_log.all(), ["made"]);
        assert_eq!(client.peername(), Some(address));
        client.sendto(b"xxx", None);
        client_log.until("resp:xxx").await?;
        client.sendto(b"", Some(address));
        client_log.until("resp:").await?;
        client.close();
        client.close();
        client_log.until("lost true").await?;
        client.sendto(b"too late", None);
        server.abort();
        server_log.until("lost true").await?;
        assert_eq!(server_log.all(), ["made", "xxx", "", "lost true"]);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_datagram_send_to_non_listening_address`, and
/// `test_selector_events` has it as `test_sendto_error_received` and its family
#[test]
fn a_datagram_to_nobody_is_an_error_and_no_end() -> Result<()> {
    everywhere(|| async {
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let log = Log::default();
        let ours = log.clone();
        let client = create_datagram_endpoint(|| Datagrams(ours))
            .remote_addr(nobody)
            .await?;
        client.sendto(b"x", None);
        log.until("error Some(ConnectionRefused)").await?;
        client.sendto(b"x", Some("127.0.0.1:9".parse()?));
        log.until("error Some(InvalidInput)").await?;
        assert!(!client.is_closing());
        client.sendto(&vec![0; 1 << 17], None);
        until(|| log.all().len() >= 4).await?;
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_create_datagram_endpoint_sock`,
/// `test_events.EventLoopTestsMixin.test_create_datagram_endpoint_ipv6`
#[test]
fn datagrams_come_by_a_socket_that_is_open_and_over_ipv6() -> Result<()> {
    everywhere(|| async {
        let (server_log, client_log) = (Log::default(), Log::default());
        let (theirs, ours) = (server_log.clone(), client_log.clone());
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        let server = create_datagram_endpoint(|| Datagrams(theirs))
            .sock(socket)
            .await?;
        assert_eq!(
            (server.sockname(), server.peername()),
            (Some(address), None)
        );
        let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        let client = create_datagram_endpoint(|| Datagrams(ours))
            .sock(socket)
            .await?;
        assert_eq!(client.peername(), Some(address));
        client.sendto(b"given", None);
        client_log.until("resp:given").await?;
        let both = create_datagram_endpoint(|| ()).sock(std::net::UdpSocket::bind("127.0.0.1:0")?);
        crate::support::error_of::<asyncio_core::ValueError>(both.local_addr(address).await);
        let other: SocketAddr = "[::1]:9".parse()?;
        let families = create_datagram_endpoint(|| ())
            .local_addr(address)
            .remote_addr(other);
        crate::support::error_of::<asyncio_core::ValueError>(families.await);
        // A machine without the other family.
        let Ok(socket) = std::net::UdpSocket::bind("[::1]:0") else {
            return Ok(());
        };
        let address = socket.local_addr()?;
        let (theirs, ours) = (server_log.clone(), client_log.clone());
        create_datagram_endpoint(|| Datagrams(theirs))
            .sock(socket)
            .await?;
        let client = create_datagram_endpoint(|| Datagrams(ours))
            .remote_addr(address)
            .await?;
        client.sendto(b"six", None);
        client_log.until("resp:six").await
    })
}

struct Paths(Log);

impl DatagramProtocol<PathBuf> for Paths {
    fn datagram_received(
        &mut self,
        transport: &DatagramTransport<PathBuf>,
        data: &[u8],
        from: PathBuf,
    ) {
        let from_nobody = from.as_os_str().is_empty();
        self.0.add(format!("{} {from_nobody}", data.len()));
        if !from_nobody {
            transport.sendto(data, Some(from));
        }
    }

    fn error_received(&mut self, exception: Exception) {
        let kind = exception
            .downcast_ref::<std::io::Error>()
            .map(|it| it.kind());
        self.0.add(format!("error {kind:?}"));
    }

    fn connection_lost(&mut self, exception: Option<Exception>) {
        self.0.add(format!("lost {}", exception.is_none()));
    }

    fn pause_writing(&mut self) {
        self.0.add("pause");
    }

    fn resume_writing(&mut self) {
        self.0.add("resume");
    }
}

/// `test_base_events` has it as `test_create_datagram_endpoint_existing_sock_unix`,
/// `test_create_datagram_endpoint_sock_unix`
#[test]
fn datagrams_go_over_unix_sockets() -> Result<()> {
    everywhere(|| async {
        let path = |what: &str| {
            std::env::temp_dir().join(format!("asyncio-net-{what}-{}", std::process::id()))
        };
        let (server_log, client_log) = (Log::default(), Log::default());
        let (theirs, ours) = (server_log.clone(), client_log.clone());
        // A file that was left behind is no hindrance.
        drop(std::os::unix::net::UnixDatagram::bind(path("dgram-server")));
        let server = create_unix_datagram_endpoint(|| Paths(theirs))
            .local_addr(path("dgram-server"))
            .await?;
        assert_eq!(server.sockname(), Some(path("dgram-server")));
        let unnamed = create_unix_datagram_endpoint(|| ())
            .remote_addr(path("dgram-server"))
            .await?;
        assert_eq!(unnamed.sockname(), None);
        unnamed.sendto(b"nobody", None);
        server_log.until("6 true").await?;
        let client = create_unix_datagram_endpoint(|| Paths(ours))
            .local_addr(path("dgram-client"))
            .await?;
        client.sendto(b"somebody", Some(path("dgram-server")));
        client_log.until("8 false").await?;
        client.sendto(b"x", Some(path("dgram-none")));
        client_log.until("error Some(NotFound)").await?;
        // Here nothing is lost on the way: who sends more than is taken waits.
        let (one, two) = std::os::unix::net::UnixDatagram::pair()?;
        let ours = Log::default();
        let noting = ours.clone();
        let two = tokio::net::UnixDatagram::from_std({
            two.set_nonblocking(true)?;
            two
        })?;
        let one = create_unix_datagram_endpoint(|| Paths(noting))
            .sock(one)
            .await?;
        for number in 0..2_000_u32 {
            one.sendto(&[&number.to_le_bytes()[..], &[0; 96]].concat(), None);
        }
        ours.until("pause").await?;
        one.close();
        let before = one.get_write_buffer_size();
        assert!(before > 1 << 16, "{before}");
        for number in 0..2_000_u32 {
            let mut buffer = [0; 200];
            assert_eq!(two.recv(&mut buffer).await?, 100);
            assert_eq!(buffer[..4], number.to_le_bytes());
        }
        ours.until("lost true").await?;
        assert_eq!(ours.all(), ["pause", "resume", "lost true"]);
        // What is dropped is not kept any more.
        let (one, _two) = std::os::unix::net::UnixDatagram::pair()?;
        let one = create_unix_datagram_endpoint(|| ()).sock(one).await?;
        while one.get_write_buffer_size() == 0 {
            one.sendto(&[0; 100], None);
        }
        one.abort();
        assert_eq!(one.get_write_buffer_size(), 0);
        for name in ["dgram-server", "dgram-client"] {
            std::fs::remove_file(path(name))?;
        }
        Ok(())
    })
}
