//! What makes an iterator is an ordinary function; what is iterated over awaits.
//!
//! # Instead
//!
//! The mistake of the Python program, an `__aiter__` that has to be awaited, is one of types here: a
//! future is no iterator, and `while let` over its `anext` does not compile. The record has the lines of
//! the right class only.

use std::collections::VecDeque;

use asyncio_compat as asyncio;

struct RightStream {
    drops: VecDeque<&'static str>,
}

impl RightStream {
    fn new() -> Self {
        Self {
            drops: ["one", "two"].into(),
        }
    }

    async fn anext(&mut self) -> asyncio::Result<Option<&'static str>> {
        Ok(self.drops.pop_front())
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut stream = RightStream::new();
    while let Some(drop) = stream.anext().await? {
        println!("RightStream drop {drop}");
    }
    Ok(())
}
