#[asyncio_core::test(flavor = "current_thread")]
async fn a_test() {}

fn main() {}
