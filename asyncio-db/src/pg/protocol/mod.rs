//! PostgreSQL's protocol: messages, the stream that carries them, how a session begins.
//!
//! [`frames`] cuts what has come into messages and does no I/O. [`Wire`] is a session: a stream, what is
//! to be written, what is still owed by the server, and what the server has said of itself.

mod frames;
mod startup;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod wire;

pub(crate) use frames::{Incoming, Passing, RowRun};
pub(crate) use startup::{Session, interrupt, start};
#[cfg(feature = "tls")]
pub(crate) use tls::TlsRules;
pub(crate) use wire::{Backend, IDLE, Wire};
