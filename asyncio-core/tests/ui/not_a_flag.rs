#[asyncio_core::test(virtual_clock = 1)]
async fn a_test() {}

fn main() {}
