//! Gather, wait, as_completed, shield and wait_for. Not built yet: programs that use them are refused before they run.

use std::rc::Rc;

use super::machine::{Frame, Machine, Step};
use crate::program::{Combine, CombineAction};

pub(super) async fn run(machine: &Rc<Machine>, _frame: &Frame, statement: &Combine) -> Step {
    Err(machine.ill_formed(format!("unsupported: {statement:?}")))
}

pub(super) fn act(
    machine: &Rc<Machine>,
    _frame: &Frame,
    action: &CombineAction,
) -> asyncio_core::Result<()> {
    Err(machine.ill_formed(format!("unsupported: {action:?}")))
}
