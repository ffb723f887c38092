#[asyncio_core::main(debug, virtual_clock, debug = false)]
async fn main() {}
