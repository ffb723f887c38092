//! Which types may go to other threads, and which may be moved while they are polled.

use std::marker::PhantomData;

use asyncio_net::subprocess::{Command, Output, ProcessLookupError, Stdio};
use asyncio_net::{
    AsyncSocket, Buffered, ConnectError, DatagramTransport, ExtraInfo, IncompleteReadError,
    LimitOverrunError, Lines, OpenConnection, Process, Sendfile, SendfileNotAvailableError, Server,
    ShutdownReport, StreamReader, StreamWriter, SubprocessTransport, TlsTruncated, Transport,
    TransportSocket, Watch,
};

/// Compiles for types that may go anywhere.
const fn goes_anywhere<T: Send + Sync + Unpin + 'static>(_: PhantomData<T>) {}

#[test]
fn every_public_type_may_go_to_other_threads() {
    goes_anywhere(PhantomData::<(StreamReader, StreamWriter, OpenConnection)>);
    goes_anywhere(PhantomData::<(Server, ShutdownReport, Transport, DatagramTransport)>);
    goes_anywhere(PhantomData::<(ExtraInfo, Buffered<()>, AsyncSocket, Watch)>);
    goes_anywhere(PhantomData::<(Process, Output, Command, Stdio)>);
    goes_anywhere(PhantomData::<(ConnectError, IncompleteReadError, LimitOverrunError)>);
    goes_anywhere(PhantomData::<(TlsTruncated, ProcessLookupError, SendfileNotAvailableError)>);
    goes_anywhere(PhantomData::<(SubprocessTransport, TransportSocket, Sendfile<'static>)>);
    goes_anywhere(PhantomData::<DatagramTransport<std::path::PathBuf>>);
    #[cfg(feature = "tls")]
    goes_anywhere(
        PhantomData::<(
            asyncio_net::TlsClient,
            asyncio_net::TlsClientBuilder,
            asyncio_net::TlsServer,
            asyncio_net::TlsInfo,
            asyncio_net::TlsError,
        )>,
    );
}

/// A line that is waited for is a boxed future, which need not be shared.
#[test]
fn the_stream_of_lines_may_go_to_another_thread() {
    const fn is_send<T: Send + Unpin + 'static>(_: PhantomData<T>) {}
    is_send(PhantomData::<Lines>);
}
