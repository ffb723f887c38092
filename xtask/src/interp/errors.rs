//! The exceptions of programs: making, naming and matching them as Python would.

use std::sync::Arc;

use asyncio_core::{
    CancelledError, Exception, ExceptionGroup, InvalidStateError, RuntimeError, TimeoutError,
    ValueError,
};
use asyncio_net::{IncompleteReadError, LimitOverrunError};
use asyncio_sync::{BrokenBarrierError, QueueEmpty, QueueFull, QueueShutDown};

use super::machine::Token;
use crate::program::{Kind, Raise};
use crate::pytext;

/// An error that only programs raise.
#[derive(Debug, thiserror::Error)]
#[error("ErrA({0})")]
struct ErrA(String, Token);

/// The other one.
#[derive(Debug, thiserror::Error)]
#[error("ErrB({0})")]
struct ErrB(String, Token);

/// What a program does that Python answers with an AttributeError, a TypeError or the like: the
/// whole program is then left out of the comparison.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct IllFormed(pub(super) String);

/// Makes the exception that a statement names.
pub(super) fn make(raise: &Raise, token: &Token) -> Result<Exception, IllFormed> {
    match raise {
        Raise::One(kind, message) => one(*kind, message, token),
        Raise::Group(message, members) => {
            let members = members
                .iter()
                .map(|member| make(member, token))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(match ExceptionGroup::new(&**message, members) {
                Ok(group) => group.into(),
                // A group without members is a ValueError of the statement that makes it.
                Err(error) => error.into(),
            })
        }
    }
}

fn one(kind: Kind, message: &Arc<str>, token: &Token) -> Result<Exception, IllFormed> {
    let message = message.to_string();
    Ok(match kind {
        Kind::ErrA => ErrA(message, token.clone()).into(),
        Kind::ErrB => ErrB(message, token.clone()).into(),
        Kind::ValueError => ValueError::new(message).into(),
        Kind::TimeoutError => TimeoutError::new(message).into(),
        Kind::RuntimeError => RuntimeError::new(message).into(),
        Kind::InvalidStateError => InvalidStateError::new(message).into(),
        Kind::CancelledError => CancelledError::with_message(message).into(),
        Kind::QueueEmpty => QueueEmpty::new().into(),
        Kind::QueueFull => QueueFull::new().into(),
        Kind::QueueShutDown => QueueShutDown::new().into(),
        Kind::BrokenBarrierError => BrokenBarrierError::new().into(),
        Kind::IncompleteReadError
        | Kind::LimitOverrunError
        | Kind::ExceptionGroup
        | Kind::Exception => {
            return Err(IllFormed(format!("{}({message})", kind.name())));
        }
    })
}

/// The canonical text of an exception, or the reason why it has none.
pub(super) fn show(exception: &Exception) -> Result<String, IllFormed> {
    if let Some(group) = exception.as_group() {
        let inner = group
            .exceptions()
            .iter()
            .map(show)
            .collect::<Result<Vec<_>, _>>()?;
        return Ok(format!(
            "ExceptionGroup({})[{}]",
            group.message(),
            inner.join(", ")
        ));
    }
    if exception.is_cancelled() {
        let message = exception
            .downcast_ref::<CancelledError>()
            .and_then(CancelledError::message);
        return Ok(format!("CancelledError({})", message.unwrap_or_default()));
    }
    if let Some(error) = exception.downcast_ref::<IncompleteReadError>() {
        let partial = pytext::bytes(error.partial());
        let expected = error
            .expected()
            .map_or_else(|| "None".to_owned(), |count| count.to_string());
        return Ok(format!("IncompleteReadError({partial},{expected})"));
    }
    if let Some(error) = exception.downcast_ref::<LimitOverrunError>() {
        return Ok(format!("LimitOverrunError({})", error.consumed()));
    }
    match kind_of(exception) {
        Some(Kind::ErrA | Kind::ErrB) => Ok(exception.to_string()),
        Some(kind) => Ok(kind.name().to_owned()),
        None => Err(IllFormed(exception.to_string())),
    }
}

/// Whether `except KIND` catches the exception.
pub(super) fn matches(kind: Kind, exception: &Exception) -> bool {
    match kind {
        Kind::CancelledError => exception.is_cancelled(),
        Kind::ExceptionGroup => exception.as_group().is_some(),
        Kind::Exception => !is_base(exception),
        // In Python a BrokenBarrierError is a RuntimeError.
        Kind::RuntimeError => matches!(
            kind_of(exception),
            Some(Kind::RuntimeError | Kind::BrokenBarrierError)
        ),
        kind => kind_of(exception) == Some(kind),
    }
}

/// Whether Python makes it a BaseException: a CancelledError, or a group that holds one.
fn is_base(exception: &Exception) -> bool {
    match exception.as_group() {
        Some(group) => group.exceptions().iter().any(is_base),
        None => exception.is_cancelled(),
    }
}

fn kind_of(exception: &Exception) -> Option<Kind> {
    if exception.is::<ErrA>() {
        Some(Kind::ErrA)
    } else if exception.is::<ErrB>() {
        Some(Kind::ErrB)
    } else if exception.is::<InvalidStateError>() {
        Some(Kind::InvalidStateError)
    } else if exception.is::<RuntimeError>() {
        Some(Kind::RuntimeError)
    } else if exception.is::<TimeoutError>() {
        Some(Kind::TimeoutError)
    } else if exception.is::<ValueError>() {
        Some(Kind::ValueError)
    } else if exception.is::<QueueEmpty>() {
        Some(Kind::QueueEmpty)
    } else if exception.is::<QueueFull>() {
        Some(Kind::QueueFull)
    } else if exception.is::<QueueShutDown>() {
        Some(Kind::QueueShutDown)
    } else if exception.is::<BrokenBarrierError>() {
        Some(Kind::BrokenBarrierError)
    } else if exception.is::<IncompleteReadError>() {
        Some(Kind::IncompleteReadError)
    } else if exception.is::<LimitOverrunError>() {
        Some(Kind::LimitOverrunError)
    } else {
        None
    }
}
