#[asyncio_core::main]
fn main() {}
