#[asyncio_core::test(seed = "seven")]
async fn a_test() {}

fn main() {}
