//! Debug mode logs every step of the loop that takes longer than the loop's limit.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use asyncio_compat as asyncio;
use tracing::field::{Field, Visit};
use tracing::span;

/// What is logged goes to `tracing`; this keeps the lines.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<String>>);

impl Visit for Collector {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        let _ = writeln!(self.0.lock().unwrap(), "{value:?}");
    }
}

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "asyncio"
    }

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

async fn grind_coffee() -> asyncio::Result<()> {
    thread::sleep(Duration::from_millis(700));
    Ok(())
}

async fn program() -> asyncio::Result<()> {
    asyncio::get_running_loop()?.set_slow_callback_duration(0.35)?;
    asyncio::Task::builder()
        .name("grinder")
        .spawn(grind_coffee())
        .await
}

pub(crate) fn main() -> asyncio::Result<()> {
    for debug in [false, true] {
        let collector = Collector::default();
        let runner = asyncio::Runner::builder().debug(debug).build()?;
        tracing::subscriber::with_default(collector.clone(), || runner.run(program()))?;
        let lines = collector.0.lock().unwrap();
        let slow = lines
            .lines()
            .filter(|line| line.contains("grinder") && line.contains(" took "));
        let mode = if debug { "on" } else { "off" };
        println!("debug {mode}: slow steps reported {}", slow.count());
    }
    Ok(())
}
