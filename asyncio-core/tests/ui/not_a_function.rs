#[asyncio_core::main]
struct Program;

fn main() {}
