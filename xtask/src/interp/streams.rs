//! Stream readers without a transport.

use std::sync::Arc;

use asyncio_core::Result;
use asyncio_net::StreamReader;

use super::machine::{Bound, Flow, Frame, Machine, Step};
use crate::program::{Constant, Name, Stream, StreamAction};
use crate::pytext;

/// Makes a reader.
pub(super) fn make(limit: i64) -> Result<StreamReader> {
    Ok(StreamReader::with_limit(
        usize::try_from(limit).unwrap_or(0),
    )?)
}

pub(super) async fn run(machine: &Arc<Machine>, frame: &Frame, statement: &Stream) -> Step {
    match statement {
        Stream::Read {
            reader: name,
            count,
        } => {
            let data = reader(machine, *name)?.read(size(*count)).await?;
            log_data(machine, frame, "read", *name, &data);
        }
        Stream::ReadLine(name) => {
            let data = reader(machine, *name)?.readline().await?;
            log_data(machine, frame, "readline", *name, &data);
        }
        Stream::ReadExactly {
            reader: name,
            count,
        } => {
            let data = reader(machine, *name)?.readexactly(size(*count)).await?;
            log_data(machine, frame, "readexactly", *name, &data);
        }
        Stream::ReadUntil {
            reader: name,
            separators,
        } => {
            let reader = reader(machine, *name)?;
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            let data = reader.readuntil_any(&separators).await?;
            log_data(machine, frame, "readuntil", *name, &data);
        }
    }
    Ok(Flow::Next)
}

pub(super) fn act(machine: &Arc<Machine>, frame: &Frame, action: &StreamAction) -> Result<()> {
    match action {
        StreamAction::Feed { reader: name, data } => {
            reader(machine, *name)?.feed_data(data)?;
            machine.log(frame, format_args!("feed {}", machine.name(*name)));
        }
        StreamAction::FeedEof(name) => {
            reader(machine, *name)?.feed_eof();
            machine.log(frame, format_args!("feed_eof {}", machine.name(*name)));
        }
        StreamAction::Exception {
            reader: name,
            raise,
        } => {
            let exception = machine.exception(raise)?;
            reader(machine, *name)?.set_exception(exception);
            machine.log(
                frame,
                format_args!("stream_exception {}", machine.name(*name)),
            );
        }
        StreamAction::AtEof(name) => {
            let at_eof = Constant::Bool(reader(machine, *name)?.at_eof());
            machine.log(
                frame,
                format_args!("at_eof {} {at_eof}", machine.name(*name)),
            );
        }
    }
    Ok(())
}

fn reader(machine: &Machine, name: Name) -> Result<StreamReader> {
    match machine.lookup(name)? {
        Bound::Reader(reader) => Ok(reader),
        _ => Err(machine.ill_formed(format!("{} is no reader", machine.name(name)))),
    }
}

fn size(count: i64) -> isize {
    isize::try_from(count).unwrap_or(isize::MAX)
}

fn log_data(machine: &Machine, frame: &Frame, what: &str, name: Name, data: &[u8]) {
    let text = pytext::bytes(data);
    machine.log(frame, format_args!("{what} {} {text}", machine.name(name)));
}
