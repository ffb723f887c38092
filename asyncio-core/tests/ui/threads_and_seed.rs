#[asyncio_core::test(flavor = "multi_thread", seed = 7)]
async fn a_test() {}

fn main() {}
