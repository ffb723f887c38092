#[asyncio_core::main(flavor = "loop", worker_threads = 4)]
async fn main() {}
