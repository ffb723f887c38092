//! Addresses and connections (`asyncio/base_events.py`).

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use asyncio_core::{Exception, FutureExt, Result, staggered_race, to_thread};
use tokio::net::{TcpSocket, TcpStream};

use crate::exceptions::ConnectError;
use crate::streams::{ReadEnd, WriteEnd, runtime};
use crate::transports::Addresses;

/// The addresses of a host (`loop.getaddrinfo`), looked up in a thread.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::getaddrinfo;
///
/// # fn main() -> Result<()> {
/// let addresses = run(async { getaddrinfo("127.0.0.1", 80).await })?;
/// assert_eq!(addresses, ["127.0.0.1:80".parse()?]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when there is none; [`CancelledError`](asyncio_core::CancelledError) when the
/// task is cancelled.
///
/// # Cancel safety
///
/// The thread looks on; its answer is dropped.
///
/// # asyncio
///
/// Addresses of sockets, without families, types and protocols.
pub async fn getaddrinfo(host: impl Into<String>, port: u16) -> Result<Vec<SocketAddr>> {
    let host = host.into();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = to_thread(move || -> Result<Vec<SocketAddr>> {
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in (host.as_str(), port).to_socket_addrs()? {
            if !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() {
            let message = "getaddrinfo() returned empty list";
            return Err(io::Error::new(io::ErrorKind::NotFound, message).into());
        }
        Ok(found)
    });
    found.await
}

/// The name of a host and of a service for an address (`loop.getnameinfo`), looked up in a thread.
///
/// The flags are those of `libc`, such as `NI_NUMERICHOST`; 0 for none.
///
/// ```
/// use asyncio_core::{Result, run};
/// use asyncio_net::getnameinfo;
///
/// # fn main() -> Result<()> {
/// let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
/// let names = run(async move { getnameinfo("127.0.0.1:80".parse()?, flags).await })?;
/// assert_eq!(names, ("127.0.0.1".to_owned(), "80".to_owned()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`std::io::Error`] when there is no name and one is required (`NI_NAMEREQD`), or the flags are wrong;
/// [`CancelledError`](asyncio_core::CancelledError) when the task is cancelled.
///
/// # Cancel safety
///
/// The thread looks on; its answer is dropped.
pub async fn getnameinfo(address: SocketAddr, flags: i32) -> Result<(String, String)> {
    let found = to_thread(move || -> Result<(String, String)> {
        Ok(dns_lookup::getnameinfo(&address, flags).map_err(io::Error::from)?)
    });
    found.await
}

/// A connection before it becomes a stream or a transport.
pub(crate) struct Channel {
    pub(crate) read: ReadEnd,
    pub(crate) write: WriteEnd,
    pub(crate) addresses: Addresses,
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct ConnectOptions {
    pub(crate) local_addr: Option<SocketAddr>,
    pub(crate) happy_eyeballs_delay: Option<Duration>,
    pub(crate) interleave: usize,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            local_addr: None,
            // RFC 8305, "Connection Attempt Delay".
            happy_eyeballs_delay: Some(Duration::from_millis(250)),
            interleave: 1,
        }
    }
}

impl Channel {
    pub(crate) fn tcp(stream: TcpStream, peer: Option<SocketAddr>) -> Self {
        // As in Python; a socket that does not take it works as well.
        let _ = stream.set_nodelay(true);
        let addresses = Addresses::Inet {
            peer: peer.or_else(|| stream.peer_addr().ok()),
            local: stream.local_addr().ok(),
        };
        let (read, write) = stream.into_split();
        Self {
            read: ReadEnd::Tcp(read),
            write: WriteEnd::Tcp(write),
            addresses,
        }
    }
}

/// Connects to the first address of a host that answers (`create_connection`).
pub(crate) async fn connect_tcp(
    host: &str,
    port: u16,
    options: &ConnectOptions,
) -> Result<Channel> {
    runtime()?;
    let mut addresses = getaddrinfo(host, port).await?;
    if options.interleave > 0 {
        addresses = interleave(addresses, options.interleave);
    }
    if let Some(local) = options.local_addr {
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        if addresses.is_empty() {
            let message = "no matching local address with the family of the host found";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message).into());
        }
    }
    connect_any(addresses, options).await
}

/// Connects to the first of several addresses that answers.
async fn connect_any(addresses: Vec<SocketAddr>, options: &ConnectOptions) -> Result<Channel> {
    let local = options.local_addr;
    if let [address] = addresses[..] {
        let stream = connect_address(address, local).cancellable().await??;
        return Ok(Channel::tcp(stream, Some(address)));
    }
    let attempts = addresses.clone().into_iter().map(|address| {
        move || async move {
            let stream = connect_address(address, local).cancellable().await??;
            Ok((stream, address))
        }
    });
    let delay = options.happy_eyeballs_delay.map(Into::into);
    let race = staggered_race(attempts, delay).await?;
    let failures: Vec<Option<Exception>> = race.exceptions().to_vec();
    if let Some((_, (stream, address))) = race.into_winner() {
        return Ok(Channel::tcp(stream, Some(address)));
    }
    let attempts = addresses.into_iter().zip(failures);
    let attempts = attempts.filter_map(|(address, error)| Some((address, error?)));
    Err(ConnectError::new(attempts.collect()).into())
}

async fn connect_address(address: SocketAddr, local: Option<SocketAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(local)?;
    socket.connect(address).await
}

/// So many addresses of the first family, and then one of each in turn (`_interleave_addrinfos`).
fn interleave(addresses: Vec<SocketAddr>, first: usize) -> Vec<SocketAddr> {
    let Some(family) = addresses.first().map(SocketAddr::is_ipv4) else {
        return addresses;
    };
    let (ours, theirs): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == family);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut all: Vec<SocketAddr> = ours.by_ref().take(first.saturating_sub(1)).collect();
    loop {
        let (one, other) = (ours.next(), theirs.next());
        if one.is_none() && other.is_none() {
            return all;
        }
        all.extend(one);
        all.extend(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(hosts: &[&str]) -> Vec<SocketAddr> {
        let parse = |host: &&str| SocketAddr::new(host.parse().expect("an address"), 80);
        hosts.iter().map(parse).collect()
    }

    /// R11: an address that does not answer takes 250 ms, not the time that the operating system gives it.
    #[test]
    fn a_dead_address_takes_a_quarter_of_a_second() -> Result<()> {
        asyncio_core::run(async {
            use socket2::{Domain, Socket, Type};
            let host = |last: u8| SocketAddr::from(([127, 0, 0, last], 0));
            let dead = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            dead.bind(&host(1).into())?;
            dead.listen(0)?;
            let address = dead.local_addr()?;
            // What the operating system keeps of them is full, so that it answers nobody any more.
            let mut filling = Vec::new();
            for _ in 0..4 {
                let client = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                client.set_nonblocking(true)?;
                let _ = client.connect(&address);
                filling.push(client);
            }
            let address = address.as_socket().expect("an address");
            let alive = std::net::TcpListener::bind(host(2))?;
            let options = ConnectOptions::default();
            let begin = std::time::Instant::now();
            let addresses = vec![address, alive.local_addr()?];
            let channel = connect_any(addresses, &options).await?;
            let took = begin.elapsed();
            assert!(took >= Duration::from_millis(240), "{took:?}");
            assert!(took < Duration::from_secs(10), "{took:?}");
            drop(channel);
            Ok(())
        })
    }

    /// `test_base_events` has it as `_interleave_addrinfos`.
    #[test]
    fn families_take_turns() {
        let all = addresses(&["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"]);
        let one = addresses(&["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]);
        assert_eq!(interleave(all.clone(), 1), one);
        let two = addresses(&["::1", "::2", "1.1.1.1", "::3", "2.2.2.2"]);
        assert_eq!(interleave(all, 2), two);
    }
}
