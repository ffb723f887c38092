//! Timeouts and task groups. Not built yet: programs that use them are refused before they run.

use std::rc::Rc;

use super::machine::{Frame, Machine, Step};
use crate::program::{Scope, ScopeAction};

pub(super) async fn run(machine: &Rc<Machine>, _frame: &Frame, statement: &Scope) -> Step {
    Err(machine.ill_formed(format!("unsupported: {statement:?}")))
}

pub(super) fn act(
    machine: &Rc<Machine>,
    _frame: &Frame,
    action: &ScopeAction,
) -> asyncio_core::Result<()> {
    Err(machine.ill_formed(format!("unsupported: {action:?}")))
}
