#[asyncio_core::test(flavor = "threads")]
async fn a_test() {}

fn main() {}
