#[asyncio_core::test(virtual_clock = true, worker_threads = 2)]
async fn a_test() {}

fn main() {}
