#[asyncio_core::main(debug: true)]
async fn main() {}
