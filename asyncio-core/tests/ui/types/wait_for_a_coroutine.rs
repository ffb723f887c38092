use asyncio_core::{Result, run, sleep, wait};

fn main() -> Result<()> {
    run(async { wait([sleep(1), sleep(2)]).await.map(drop) })
}
