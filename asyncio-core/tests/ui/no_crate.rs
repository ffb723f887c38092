#[asyncio_core::main(crate)]
async fn main() {}
