use asyncio_core::{Result, gather, run, sleep};

fn main() -> Result<()> {
    run(async { gather((0..3).map(|_| sleep(1))).await.map(drop) })
}
