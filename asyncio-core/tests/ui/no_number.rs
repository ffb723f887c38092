#[asyncio_core::main(seed)]
async fn main() {}
