//! Every exception that the calls of the facade end with (`asyncio.exceptions`, and those of `builtins` that asyncio raises).

pub use asyncio_core::{
    CancelledError, Exception, ExceptionGroup, InvalidStateError, KeyboardInterrupt, PanicError,
    RuntimeError, SystemExit, TimeoutError, ValueError,
};
#[cfg(feature = "net")]
pub use asyncio_net::{
    ConnectError, IncompleteReadError, LimitOverrunError, SendfileNotAvailableError, TlsTruncated,
};
pub use asyncio_sync::BrokenBarrierError;
