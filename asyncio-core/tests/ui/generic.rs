#[asyncio_core::test]
async fn a_test<T>() {}

fn main() {}
