#[asyncio_core::test(clock = "virtual")]
async fn a_test() {}

fn main() {}
