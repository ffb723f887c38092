use asyncio_core::{Result, gather, run};

fn main() -> Result<()> {
    run(async { gather((async { 1 }, async { 2 })).await.map(drop) })
}
