//! Sockets by hand, watches and files (`test_sock_lowlevel.py`, `test_sendfile.py`, and that part of
//! `test_events.py`).

use std::cell::Cell;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use asyncio_core::{Result, RuntimeError, TimeoutError, create_task, run, sleep, timeout};
use asyncio_net::{
    AsyncSocket, SendfileNotAvailableError, StreamReader, StreamWriter, add_reader, add_writer,
    create_server, open_connection, start_server,
};

use crate::support::{error_of, everywhere, kind, pattern, until};

fn listener() -> Result<(AsyncSocket, std::net::SocketAddr)> {
    let listener = AsyncSocket::new(std::net::TcpListener::bind("127.0.0.1:0")?)?;
    let address = listener.getsockname()?;
    Ok((listener, address))
}

async fn pair() -> Result<(AsyncSocket, AsyncSocket)> {
    let (listener, address) = listener()?;
    let client = AsyncSocket::tcp(address)?;
    client.sock_connect(address).await?;
    let (server, peer) = listener.sock_accept().await?;
    assert_eq!(peer, Some(client.getsockname()?));
    Ok((client, server))
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_client_ops`,
/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_accept`
#[test]
fn sockets_connect_accept_send_and_receive() -> Result<()> {
    everywhere(|| async {
        let (client, server) = pair().await?;
        client.sock_sendall(b"hello").await?;
        assert_eq!(server.sock_recv(3).await?, b"hel");
        let mut buffer = [0; 10];
        assert_eq!(server.sock_recv_into(&mut buffer).await?, 2);
        assert_eq!(&buffer[..2], b"lo");
        drop(client);
        assert_eq!(server.sock_recv(3).await?, b"");
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_huge_content`,
/// `test_sock_lowlevel.BaseSockTestsMixin.test_huge_content_recvinto`
#[test]
fn much_is_sent_and_received() -> Result<()> {
    everywhere(|| async {
        let (client, server) = pair().await?;
        let data = pattern(10 << 20);
        let sent = data.clone();
        let sending = create_task(async move {
            client.sock_sendall(&sent).await?;
            Ok(client)
        });
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        while all.len() < data.len() {
            let count = server.sock_recv_into(&mut buffer).await?;
            all.extend_from_slice(&buffer[..count]);
        }
        assert!(all == data);
        sending.await?;
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_client_racing`
#[test]
fn a_cancelled_receive_leaves_the_bytes() -> Result<()> {
    everywhere(|| async {
        let (client, server) = pair().await?;
        for _ in 0..5 {
            error_of::<TimeoutError>(timeout(0.002, server.sock_recv(10)).await);
            client.sock_sendall(b"bytes").await?;
            assert_eq!(server.sock_recv(10).await?, b"bytes");
        }
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_sock_client_fail`
#[test]
fn a_socket_is_refused() -> Result<()> {
    everywhere(|| async {
        let (gone, address) = listener()?;
        drop(gone);
        let client = AsyncSocket::tcp(address)?;
        let refused = client.sock_connect(address).await;
        assert_eq!(kind(refused), ErrorKind::ConnectionRefused);
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_cancel_sock_accept`
#[test]
fn a_cancelled_accept_leaves_the_listener() -> Result<()> {
    everywhere(|| async {
        let (listener, address) = listener()?;
        error_of::<TimeoutError>(timeout(0.005, listener.sock_accept()).await);
        let client = AsyncSocket::tcp(address)?;
        client.sock_connect(address).await?;
        listener.sock_accept().await?;
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_recvfrom`,
/// `test_sock_lowlevel.BaseSockTestsMixin.test_recvfrom_into`,
/// `test_sock_lowlevel.BaseSockTestsMixin.test_sendto_blocking`
#[test]
fn sockets_send_datagrams() -> Result<()> {
    everywhere(|| async {
        let bound = || -> Result<AsyncSocket> {
            AsyncSocket::new(std::net::UdpSocket::bind("127.0.0.1:0")?)
        };
        let (one, two) = (bound()?, bound()?);
        one.sock_sendto(b"hello", two.getsockname()?).await?;
        assert_eq!(
            two.sock_recvfrom(100).await?,
            (b"hello".to_vec(), one.getsockname()?)
        );
        two.sock_sendto(b"back", one.getsockname()?).await?;
        let mut buffer = [0; 100];
        let (count, from) = one.sock_recvfrom_into(&mut buffer).await?;
        assert_eq!(
            (&buffer[..count], from),
            (b"back".as_slice(), two.getsockname()?)
        );
        Ok(())
    })
}

/// `test_sock_lowlevel.BaseSockTestsMixin.test_unix_sock_client_ops`
#[test]
fn unix_sockets_are_sockets_too() -> Result<()> {
    everywhere(|| async {
        let (one, two) = std::os::unix::net::UnixStream::pair()?;
        let (one, two) = (AsyncSocket::new(one)?, AsyncSocket::new(two)?);
        one.sock_sendall(b"hello").await?;
        assert_eq!(two.sock_recv(100).await?, b"hello");
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_reader_callback`,
/// `test_events.EventLoopTestsMixin.test_writer_callback`
#[test]
fn functions_are_called_while_something_is_ready() -> Result<()> {
    run(async {
        let (mut reader, mut writer) = std::io::pipe()?;
        let heard = Rc::new(Cell::new(0));
        let counted = Rc::clone(&heard);
        let theirs = reader.try_clone()?;
        let watch = add_reader(&theirs, move || {
            let mut byte = [0];
            counted.set(counted.get() + reader.read(&mut byte)?);
            Ok(())
        })?;
        // One byte for each call: it is called as long as there is one.
        writer.write_all(b"abc")?;
        until(|| heard.get() == 3).await?;
        sleep(0.01).await?;
        assert_eq!(heard.get(), 3);
        assert!(watch.remove());
        sleep(0).await?;
        assert!(!watch.remove());
        writer.write_all(b"d")?;
        sleep(0.01).await?;
        assert_eq!(heard.get(), 3);
        let written = Rc::new(Cell::new(0));
        let counted = Rc::clone(&written);
        let watch = add_writer(&writer, move || {
            counted.set(counted.get() + 1);
            Ok(())
        })?;
        until(|| written.get() > 5).await?;
        watch.remove();
        Ok(())
    })
}

/// A file with these bytes, which goes with what is returned.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(data: &[u8]) -> Result<Self> {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("asyncio-net-file-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        File::create(&path)?.write_all(data)?;
        Ok(Self(path))
    }

    fn open(&self) -> Result<File> {
        Ok(File::open(&self.0)?)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Has a server read all, and a connection to it.
async fn sink(tls: bool) -> Result<(StreamReader, StreamWriter)> {
    let handler = async |reader: StreamReader, writer: StreamWriter| {
        let count = u32::from_le_bytes(reader.readexactly(4).await?.try_into().unwrap_or_default());
        let data = reader.readexactly(count as isize).await?;
        writer.write(&data);
        writer.drain().await
    };
    let starting = start_server(handler, "127.0.0.1", 0);
    #[cfg(feature = "tls")]
    if tls {
        let identity = crate::support::Identity::new();
        let server = starting.ssl(identity.server()?).await?;
        return open_connection("localhost", server.port())
            .ssl(identity.client()?)
            .await;
    }
    assert!(!tls);
    let server = starting.await?;
    open_connection("127.0.0.1", server.port()).await
}

/// `test_sendfile.SendfileMixin.test_sendfile`,
/// `test_sendfile.SendfileMixin.test_sendfile_ssl`,
/// `test_sendfile.SendfileMixin.test_sendfile_partial`,
/// `test_sendfile.SendfileMixin.test_sendfile_ssl_partial`,
/// `test_sendfile.SendfileMixin.test_sendfile_pre_and_post_data`,
/// `test_sendfile.SendfileMixin.test_sendfile_ssl_pre_and_post_data`
#[test]
fn a_file_is_sent_between_what_is_written() -> Result<()> {
    everywhere(|| async {
        let data = pattern(2 << 20);
        let file = Temporary::new(&data)?;
        for tls in [false, cfg!(feature = "tls")] {
            for (offset, count) in [
                (0, None),
                (1000, Some(100)),
                (1000, Some(1 << 20)),
                (0, Some(0)),
            ] {
                let end = count.map_or(data.len(), |count: usize| offset + count);
                let expected = [b"before", &data[offset..end], b"after"].concat();
                let (reader, writer) = sink(tls).await?;
                writer.write(&u32::try_from(expected.len())?.to_le_bytes());
                writer.write(b"before");
                let sending = writer.sendfile(file.open()?).offset(offset as u64);
                let sending = sending.count(count.map(|it| it as u64));
                assert_eq!(sending.await?, (end - offset) as u64);
                writer.write(b"after");
                writer.drain().await?;
                assert!(reader.read(-1).await? == expected);
            }
        }
        Ok(())
    })
}

/// `test_sendfile.SendfileMixin.test_sendfile_for_closing_transp`,
/// `test_sendfile.SendfileMixin.test_sendfile_prevents_bare_write`,
/// `test_sendfile.SendfileMixin.test_sendfile_close_peer_in_the_middle_of_receiving`
#[test]
fn nobody_writes_into_a_file_that_is_sent() -> Result<()> {
    struct Silent;
    impl asyncio_net::Protocol for Silent {
        fn connection_made(&mut self, transport: &asyncio_net::Transport) {
            transport.pause_reading();
        }
    }
    everywhere(|| async {
        let file = Temporary::new(&[0; 1])?;
        File::options()
            .write(true)
            .open(&file.0)?
            .set_len(200 << 20)?;
        let server = create_server(|| Silent, "127.0.0.1", 0).await?;
        let (_reader, writer) = open_connection("127.0.0.1", server.port()).await?;
        let (theirs, sent) = (writer.clone(), file.open()?);
        let sending = create_task(async move { theirs.sendfile(sent).await });
        sleep(0.02).await?;
        // The second one takes nothing away from the first.
        for _ in 0..2 {
            writer.write(b"in between");
            error_of::<RuntimeError>(writer.drain().await);
            error_of::<RuntimeError>(writer.sendfile(file.open()?).await);
        }
        // It may not have accepted yet.
        until(|| {
            server.abort_clients();
            sending.done()
        })
        .await?;
        let error = sending.await.expect_err("the peer has gone");
        let kind = error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        assert!(matches!(
            kind,
            Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        ));
        writer.close();
        error_of::<RuntimeError>(writer.sendfile(file.open()?).await);
        Ok(())
    })
}

/// What arrives at a socket until the end.
async fn all_of(socket: &AsyncSocket) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let piece = socket.sock_recv(1 << 16).await?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend(piece);
    }
}

/// `test_sendfile.SockSendfileMixin.test_sock_sendfile_success`,
/// `test_sendfile.SockSendfileMixin.test_sock_sendfile_with_offset_and_count`,
/// `test_sendfile.SockSendfileMixin.test_sock_sendfile_zero_size`,
/// `test_sendfile.SockSendfileMixin.test_sock_sendfile_mix_with_regular_send`
#[test]
fn a_file_is_sent_by_a_socket() -> Result<()> {
    everywhere(|| async {
        let data = pattern(3 << 20);
        let (file, empty) = (Temporary::new(&data)?, Temporary::new(b"")?);
        let (client, server) = pair().await?;
        let received = create_task(async move { all_of(&server).await });
        client.sock_sendall(b"before").await?;
        assert_eq!(client.sock_sendfile(empty.open()?).await?, 0);
        assert_eq!(client.sock_sendfile(file.open()?).await?, 3 << 20);
        client.sock_sendall(b"between").await?;
        let part = client.sock_sendfile(file.open()?).offset(1000).count(2000);
        assert_eq!(part.fallback(false).await?, 2000);
        let beyond = client.sock_sendfile(file.open()?).offset(4 << 20);
        assert_eq!(beyond.await?, 0);
        client.sock_sendall(b"after").await?;
        drop(client);
        let expected = [
            b"before",
            &data[..],
            b"between",
            &data[1000..3000],
            b"after",
        ]
        .concat();
        assert!(received.await? == expected);
        Ok(())
    })
}

/// `test_sendfile.SendfileMixin.test_sendfile_force_fallback`,
/// `test_sendfile.SendfileMixin.test_sendfile_force_unsupported_native`: of what `/proc` shows, the
/// operating system sends nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_cannot_be_sent_is_copied_unless_that_is_not_wanted() -> Result<()> {
    everywhere(|| async {
        let odd_file = || -> Result<File> { Ok(File::open("/proc/self/cmdline")?) };
        let mut content = Vec::new();
        odd_file()?.read_to_end(&mut content)?;
        let (client, server) = pair().await?;
        let refused = client.sock_sendfile(odd_file()?).fallback(false).await;
        error_of::<SendfileNotAvailableError>(refused);
        let sent = client.sock_sendfile(odd_file()?).await?;
        assert_eq!(sent, content.len() as u64);
        assert_eq!(server.sock_recv(1 << 16).await?, content);
        let (reader, writer) = sink(false).await?;
        writer.write(&u32::try_from(content.len() + 1)?.to_le_bytes());
        let refused = writer.sendfile(odd_file()?).fallback(false).await;
        error_of::<SendfileNotAvailableError>(refused);
        writer.sendfile(odd_file()?).await?;
        writer.write(b"!");
        assert_eq!(reader.read(-1).await?, [&content[..], b"!"].concat());
        Ok(())
    })
}

/// `test_sendfile.SendfileMixin.test_sendfile_no_fallback_for_fallback_transport`
#[cfg(feature = "tls")]
#[test]
fn over_tls_a_file_is_copied_or_not_sent() -> Result<()> {
    everywhere(|| async {
        let file = Temporary::new(b"content")?;
        let (reader, writer) = sink(true).await?;
        let refused = writer.sendfile(file.open()?).fallback(false).await;
        error_of::<SendfileNotAvailableError>(refused);
        writer.write(&7_u32.to_le_bytes());
        assert_eq!(writer.sendfile(file.open()?).await?, 7);
        assert_eq!(reader.read(-1).await?, b"content");
        Ok(())
    })
}

/// `test_sendfile.SendfileMixin.test_sendfile_close_peer_after_receiving`,
/// `test_sendfile.SendfileMixin.test_sendfile_ssl_close_peer_after_receiving`,
/// `test_sendfile.SendfileMixin.test_sendfile_fallback_close_peer_in_the_middle_of_receiving`
#[test]
fn a_peer_may_go_after_a_file_and_not_in_the_middle() -> Result<()> {
    const SIZE: usize = 8 << 20;
    async fn up_to(count: usize, reader: StreamReader) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let read = reader.read(left.min(1 << 16).cast_signed()).await?.len();
            assert!(read > 0);
            left -= read;
        }
        Ok(())
    }
    everywhere(|| async {
        let file = Temporary::new(&pattern(SIZE))?;
        for tls in [false, cfg!(feature = "tls")] {
            for count in [SIZE, SIZE / 8] {
                let starting = start_server(
                    move |reader, writer: StreamWriter| async move {
                        up_to(count, reader).await?;
                        writer.abort();
                        Ok(())
                    },
                    "127.0.0.1",
                    0,
                );
                #[cfg(feature = "tls")]
                let identity = crate::support::Identity::new();
                #[cfg(feature = "tls")]
                let starting = if tls {
                    starting.ssl(identity.server()?)
                } else {
                    starting
                };
                let server = starting.await?;
                let connecting = open_connection("localhost", server.port());
                #[cfg(feature = "tls")]
                let connecting = if tls {
                    connecting.ssl(identity.client()?)
                } else {
                    connecting
                };
                let (_reader, writer) = connecting.await?;
                let sent = writer.sendfile(file.open()?).await;
                if count == SIZE {
                    assert_eq!(sent?, SIZE as u64);
                } else {
                    let gone = kind(sent);
                    assert!(
                        matches!(gone, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                        "{gone:?} {tls}"
                    );
                }
            }
        }
        Ok(())
    })
}
