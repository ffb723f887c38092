//! Locks, events, semaphores, conditions and barriers. Not built yet: programs that use them are refused before they run.

use std::rc::Rc;

use super::machine::{Frame, Machine, Step};
use crate::program::{Lock, LockAction};

pub(super) async fn run(machine: &Rc<Machine>, _frame: &Frame, statement: &Lock) -> Step {
    Err(machine.ill_formed(format!("unsupported: {statement:?}")))
}

pub(super) fn act(
    machine: &Rc<Machine>,
    _frame: &Frame,
    action: &LockAction,
) -> asyncio_core::Result<()> {
    Err(machine.ill_formed(format!("unsupported: {action:?}")))
}
