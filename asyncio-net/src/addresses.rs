//! What datagrams are sent to: addresses of the Internet, and paths.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use asyncio_core::{Result, ValueError};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

/// What datagrams are sent to and come from: a [`SocketAddr`], or, over Unix sockets, a
/// [`PathBuf`](std::path::PathBuf). There are no others.
pub trait DatagramAddress: Kind {}

impl DatagramAddress for SocketAddr {}

/// How a socket is to be opened.
#[derive(Debug)]
#[expect(unnameable_types, reason = "for the trait below")]
pub struct Options {
    pub(crate) reuse_port: bool,
    pub(crate) allow_broadcast: bool,
}

/// What differs between the kinds of addresses.
#[expect(
    unnameable_types,
    reason = "that nobody can name it keeps others from having kinds of their own"
)]
pub trait Kind: Clone + PartialEq + fmt::Debug + Send + Sync + Unpin + 'static {
    /// The socket, as tokio waits for it.
    type Socket: Send + Sync + Unpin + 'static;

    /// The socket, as the standard library has it.
    type Given;

    /// Opens a socket.
    fn open(local: Option<&Self>, remote: Option<&Self>, options: &Options)
    -> Result<Self::Socket>;

    /// A socket that is open, and where it is connected to.
    fn wrap(given: Self::Given) -> Result<(Self::Socket, Option<Self>)>;

    /// This side's address.
    fn local(socket: &Self::Socket) -> Option<Self>;

    /// Sends, if that is possible at once.
    fn try_send(socket: &Self::Socket, data: &[u8], to: Option<&Self>) -> io::Result<usize>;

    /// Whether something can be sent.
    fn poll_send_ready(socket: &Self::Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Receives, and from whom.
    fn poll_receive(
        socket: &Self::Socket,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Self>>;

    /// Waits for an error of the socket.
    fn error(socket: &Self::Socket) -> impl Future<Output = io::Error> + Send;
}

/// Waits for an error of a socket.
macro_rules! error {
    ($socket:expr) => {
        loop {
            if let Err(error) = $socket.ready(Interest::ERROR).await {
                return error;
            }
            let told = $socket.try_io(Interest::ERROR, || {
                let error = $socket.take_error()?;
                error.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            match told {
                Ok(error) => return error,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return error,
            }
        }
    };
}

impl Kind for SocketAddr {
    type Socket = UdpSocket;
    type Given = std::net::UdpSocket;

    fn open(local: Option<&Self>, remote: Option<&Self>, options: &Options) -> Result<UdpSocket> {
        let any = Self::from((Ipv4Addr::UNSPECIFIED, 0));
        let family = local.or(remote).unwrap_or(&any);
        if let (Some(local), Some(remote)) = (local, remote)
            && local.is_ipv4() != remote.is_ipv4()
        {
            return Err(ValueError::new("the addresses are of two families").into());
        }
        let domain = Domain::for_address(*family);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        #[cfg(unix)]
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if options.allow_broadcast {
            socket.set_broadcast(true)?;
        }
        if let Some(local) = local {
            socket.bind(&(*local).into())?;
        }
        if let Some(remote) = remote {
            socket.connect(&(*remote).into())?;
        }
        Ok(UdpSocket::from_std(socket.into())?)
    }

    fn wrap(given: std::net::UdpSocket) -> Result<(UdpSocket, Option<Self>)> {
        given.set_nonblocking(true)?;
        let remote = given.peer_addr().ok();
        Ok((UdpSocket::from_std(given)?, remote))
    }

    fn local(socket: &UdpSocket) -> Option<Self> {
        socket.local_addr().ok()
    }

    fn try_send(socket: &UdpSocket, data: &[u8], to: Option<&Self>) -> io::Result<usize> {
        match to {
            Some(address) => socket.try_send_to(data, *address),
            None => socket.try_send(data),
        }
    }

    fn poll_send_ready(socket: &UdpSocket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        socket.poll_send_ready(cx)
    }

    fn poll_receive(
        socket: &UdpSocket,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<Self>> {
        socket.poll_recv_from(cx, buffer)
    }

    async fn error(socket: &UdpSocket) -> io::Error {
        error!(socket)
    }
}

#[cfg(unix)]
mod paths {
    use std::os::unix::net::UnixDatagram as Given;
    use std::path::PathBuf;
    use std::task::ready;

    use socket2::SockAddr;
    use tokio::net::UnixDatagram;
    use tokio::net::unix::SocketAddr;

    use super::{
        Context, DatagramAddress, Domain, Interest, Kind, Options, Poll, ReadBuf, Result, SockRef,
        Socket, Type, io,
    };

    impl DatagramAddress for PathBuf {}

    impl Kind for PathBuf {
        type Socket = UnixDatagram;
        type Given = Given;

        fn open(
            local: Option<&Self>,
            remote: Option<&Self>,
            _options: &Options,
        ) -> Result<UnixDatagram> {
            let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
            socket.set_nonblocking(true)?;
            if let Some(local) = local {
                crate::unix_events::remove_stale(local);
                socket.bind(&SockAddr::unix(local)?)?;
            }
            if let Some(remote) = remote {
                socket.connect(&SockAddr::unix(remote)?)?;
            }
            Ok(UnixDatagram::from_std(socket.into())?)
        }

        fn wrap(given: Given) -> Result<(UnixDatagram, Option<Self>)> {
            given.set_nonblocking(true)?;
            let socket = UnixDatagram::from_std(given)?;
            let remote = socket.peer_addr().ok();
            Ok((socket, remote.map(|address| path(&address))))
        }

        fn local(socket: &UnixDatagram) -> Option<Self> {
            let address = path(&socket.local_addr().ok()?);
            (!address.as_os_str().is_empty()).then_some(address)
        }

        fn try_send(socket: &UnixDatagram, data: &[u8], to: Option<&Self>) -> io::Result<usize> {
            socket.try_io(Interest::WRITABLE, || {
                let raw = SockRef::from(socket);
                match to {
                    Some(address) => raw.send_to(data, &SockAddr::unix(address)?),
                    None => raw.send(data),
                }
            })
        }

        fn poll_send_ready(socket: &UnixDatagram, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            socket.poll_send_ready(cx)
        }

        fn poll_receive(
            socket: &UnixDatagram,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<Self>> {
            let from = ready!(socket.poll_recv_from(cx, buffer))?;
            Poll::Ready(Ok(path(&from)))
        }

        async fn error(socket: &UnixDatagram) -> io::Error {
            error!(socket)
        }
    }

    /// The path of an address: an empty one where it has none, and an abstract name behind a zero byte.
    fn path(address: &SocketAddr) -> PathBuf {
        if let Some(path) = address.as_pathname() {
            return path.to_owned();
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_name() {
            use std::ffi::OsString;
            use std::os::unix::ffi::OsStringExt;
            return OsString::from_vec([&[0], name].concat()).into();
        }
        PathBuf::new()
    }
}
