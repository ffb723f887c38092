//! Sockets by hand, and functions that are called when something can be read or written
//! (`asyncio/selector_events.py`).

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use asyncio_core::{FutureExt, Result, Task, create_local_task};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockAddr, SockRef, Socket};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::net::unix::pipe;

use crate::streams::runtime;

/// A socket of any kind that tasks wait for by hand (`loop.sock_recv` and its family).
///
/// ```
/// use asyncio_core::{Result, create_task, run};
/// use asyncio_net::AsyncSocket;
///
/// # fn main() -> Result<()> {
/// run(async {
///     let listener = AsyncSocket::new(std::net::TcpListener::bind("127.0.0.1:0")?)?;
///     let address = listener.getsockname()?;
///     let serving = create_task(async move {
///         let (socket, _) = listener.sock_accept().await?;
///         let data = socket.sock_recv(100).await?;
///         socket.sock_sendall(&data).await
///     });
///     let socket = AsyncSocket::tcp(address)?;
///     socket.sock_connect(address).await?;
///     socket.sock_sendall(b"there and back").await?;
///     assert_eq!(socket.sock_recv(100).await?, b"there and back");
///     serving.await
/// })
/// # }
/// ```
///
/// # asyncio
///
/// The functions of the loop are methods of the socket, which is registered once instead of for each
/// call.
pub struct AsyncSocket {
    /// Whatever it is: tokio is asked when it can be read and written, and no more.
    io: UdpSocket,
}

impl AsyncSocket {
    /// Waits for this socket from now on.
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] when it cannot be waited for;
    /// [`RuntimeError`](asyncio_core::RuntimeError) where neither a loop nor a tokio runtime runs.
    pub fn new(socket: impl Into<OwnedFd>) -> Result<Self> {
        runtime()?;
        let socket = Socket::from(socket.into());
        socket.set_nonblocking(true)?;
        Ok(Self {
            io: UdpSocket::from_std(socket.into())?,
        })
    }

    /// A socket for TCP that is not connected, of the family of this address.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new).
    pub fn tcp(address: SocketAddr) -> Result<Self> {
        let domain = socket2::Domain::for_address(address);
        Self::new(Socket::new(domain, socket2::Type::STREAM, None)?)
    }

    /// Receives up to so many bytes (`loop.sock_recv`); none at the end.
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] of the socket; [`CancelledError`](asyncio_core::CancelledError) when the task
    /// is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn sock_recv(&self, count: usize) -> Result<Vec<u8>> {
        let mut data = vec![0; count];
        let received = self.sock_recv_into(&mut data).await?;
        data.truncate(received);
        Ok(data)
    }

    /// Receives bytes into a place; how many (`loop.sock_recv_into`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn sock_recv_into(&self, buffer: &mut [u8]) -> Result<usize> {
        let receiving = self.io.async_io(Interest::READABLE, || {
            let socket = SockRef::from(&self.io);
            (&*socket).read(buffer)
        });
        Ok(receiving.cancellable().await??)
    }

    /// Receives a datagram of up to so many bytes, and whose it is (`loop.sock_recvfrom`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn sock_recvfrom(&self, count: usize) -> Result<(Vec<u8>, SocketAddr)> {
        let mut data = vec![0; count];
        let (received, address) = self.sock_recvfrom_into(&mut data).await?;
        data.truncate(received);
        Ok((data, address))
    }

    /// Receives a datagram into a place; how many bytes, and whose (`loop.sock_recvfrom_into`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn sock_recvfrom_into(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr)> {
        Ok(self.io.recv_from(buffer).cancellable().await??)
    }

    /// Sends all of these bytes (`loop.sock_sendall`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// How many bytes were sent is not known then, as in Python.
    pub async fn sock_sendall(&self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let sending = self.io.async_io(Interest::WRITABLE, || {
                let socket = SockRef::from(&self.io);
                (&*socket).write(data)
            });
            let sent = sending.cancellable().await??;
            data = &data[sent..];
        }
        Ok(())
    }

    /// Has the operating system send a piece of a file; how much it took.
    pub(crate) async fn sendfile_once(
        &self,
        file: &File,
        mut offset: u64,
        count: usize,
    ) -> Result<usize> {
        let sending = self.io.async_io(Interest::WRITABLE, || {
            let sent = rustix::fs::sendfile(&self.io, file, Some(&mut offset), count)?;
            Ok(sent)
        });
        Ok(sending.cancellable().await??)
    }

    /// Sends a datagram to this address (`loop.sock_sendto`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// It was not sent.
    pub async fn sock_sendto(&self, data: &[u8], address: SocketAddr) -> Result<usize> {
        Ok(self.io.send_to(data, address).cancellable().await??)
    }

    /// Connects to this address (`loop.sock_connect`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// The operating system goes on connecting; called again it waits for that.
    ///
    /// # asyncio
    ///
    /// Addresses only: names are looked up by [`getaddrinfo`](crate::getaddrinfo).
    pub async fn sock_connect(&self, address: impl Into<SockAddr>) -> Result<()> {
        let address = address.into();
        let connect = || SockRef::from(&self.io).connect(&address);
        match connect() {
            Err(error) if is_under_way(&error) => {}
            other => return Ok(other?),
        }
        let connecting = self.io.async_io(Interest::WRITABLE, || {
            let socket = SockRef::from(&self.io);
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            // Writable before it was begun: not connected yet.
            socket
                .peer_addr()
                .map(drop)
                .map_err(|error| match error.kind() {
                    io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
                    _ => error,
                })
        });
        Ok(connecting.cancellable().await??)
    }

    /// Accepts a connection, and whose it is, where that is an Internet address (`loop.sock_accept`).
    ///
    /// # Errors
    ///
    /// As of [`sock_recv`](Self::sock_recv).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn sock_accept(&self) -> Result<(Self, Option<SocketAddr>)> {
        let accepting = self
            .io
            .async_io(Interest::READABLE, || SockRef::from(&self.io).accept());
        let (socket, address) = accepting.cancellable().await??;
        Ok((Self::new(socket)?, address.as_socket()))
    }

    /// This side's address (`socket.getsockname`).
    ///
    /// # Errors
    ///
    /// [`std::io::Error`] when it is none of the Internet's.
    pub fn getsockname(&self) -> Result<SocketAddr> {
        Ok(self.io.local_addr()?)
    }

    /// The socket, for options that have no method here.
    #[must_use]
    pub fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.io)
    }
}

fn is_under_way(error: &io::Error) -> bool {
    let under_way = [libc::EINPROGRESS, libc::EALREADY, libc::EINTR];
    error.kind() == io::ErrorKind::WouldBlock
        || error
            .raw_os_error()
            .is_some_and(|number| under_way.contains(&number))
}

impl fmt::Debug for AsyncSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncSocket").field(&self.io).finish()
    }
}

/// Has a function called whenever something can be read (`loop.add_reader`), until it is removed.
///
/// ```
/// use asyncio_core::{Result, get_running_loop, run};
/// use asyncio_net::add_reader;
/// use std::io::{Read, Write};
///
/// # fn main() -> Result<()> {
/// run(async {
///     let (mut reader, mut writer) = std::io::pipe()?;
///     let heard = get_running_loop()?.create_future();
///     let (theirs, mut tell) = (reader.try_clone()?, Some(heard.clone()));
///     let watch = add_reader(&theirs, move || {
///         let mut byte = [0];
///         reader.read_exact(&mut byte)?;
///         if let Some(tell) = tell.take() {
///             tell.set_result(byte[0])?;
///         }
///         Ok(())
///     })?;
///     writer.write_all(b"x")?;
///     assert_eq!(heard.await?, b'x');
///     assert!(watch.remove());
///     Ok(())
/// })
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when it cannot be waited for;
/// [`RuntimeError`](asyncio_core::RuntimeError) where neither a loop nor a tokio runtime runs.
///
/// # asyncio
///
/// What is returned takes it back (`loop.remove_reader`), not the number of the file; a second watch does
/// not replace the first. A task calls the function; when that fails it is called no more, and the error
/// is reported.
pub fn add_reader(fd: impl AsFd, callback: impl FnMut() -> Result<()> + 'static) -> Result<Watch> {
    watch(&fd, PollFlags::IN, callback)
}

/// Has a function called whenever something can be written (`loop.add_writer`); see [`add_reader`].
///
/// # Errors
///
/// As of [`add_reader`].
pub fn add_writer(fd: impl AsFd, callback: impl FnMut() -> Result<()> + 'static) -> Result<Watch> {
    watch(&fd, PollFlags::OUT, callback)
}

/// What [`add_reader`] and [`add_writer`] return. Dropped, the function is called on.
#[derive(Debug)]
pub struct Watch {
    task: Task<()>,
}

impl Watch {
    /// Has the function called no more (`loop.remove_reader`, `loop.remove_writer`); false when it was
    /// not to be called anyway.
    pub fn remove(&self) -> bool {
        self.task.cancel()
    }
}

fn watch(
    fd: &impl AsFd,
    flags: PollFlags,
    mut callback: impl FnMut() -> Result<()> + 'static,
) -> Result<Watch> {
    runtime()?;
    // Its own, so that what is closed meanwhile is not mistaken for what is opened next.
    let fd = fd.as_fd().try_clone_to_owned()?;
    let source = if flags == PollFlags::IN {
        Watched::Reader(pipe::Receiver::from_owned_fd_unchecked(fd)?)
    } else {
        Watched::Writer(pipe::Sender::from_owned_fd_unchecked(fd)?)
    };
    let task = create_local_task(async move {
        loop {
            source.ready(flags).cancellable().await??;
            callback()?;
            // Others have their turn, as they would between two calls in Python.
            asyncio_core::sleep(0).await?;
        }
    });
    Ok(Watch { task })
}

/// What is waited for.
enum Watched {
    Reader(pipe::Receiver),
    Writer(pipe::Sender),
}

impl Watched {
    /// Waits until the operating system says that it is so now, not that it was once.
    async fn ready(&self, flags: PollFlags) -> io::Result<()> {
        loop {
            let found = match self {
                Self::Reader(source) => {
                    source.readable().await?;
                    source.try_io(|| is_ready(source.as_fd(), flags))
                }
                Self::Writer(source) => {
                    source.writable().await?;
                    source.try_io(|| is_ready(source.as_fd(), flags))
                }
            };
            match found {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

fn is_ready(fd: std::os::fd::BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    let mut polled = [PollFd::from_borrowed_fd(fd, flags)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    if poll(&mut polled, Some(&now))? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(())
}
