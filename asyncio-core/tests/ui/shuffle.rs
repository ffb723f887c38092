#[asyncio_core::test(shuffle = 7)]
async fn a_test() {}

fn main() {}
