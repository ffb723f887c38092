//! A type with a method that awaits and returns an `Option` is walked through with `while let`.

use asyncio_compat as asyncio;

struct Countdown {
    left: u32,
}

impl Countdown {
    async fn anext(&mut self) -> asyncio::Result<Option<u32>> {
        if self.left == 0 {
            return Ok(None);
        }
        asyncio::sleep(0.01).await?;
        self.left -= 1;
        Ok(Some(self.left + 1))
    }
}

/// Hands out a text piece by piece.
struct Chunks<'a> {
    text: &'a str,
    size: usize,
}

impl<'a> Chunks<'a> {
    async fn anext(&mut self) -> asyncio::Result<Option<&'a str>> {
        asyncio::sleep(0).await?;
        let piece;
        (piece, self.text) = self.text.split_at(self.size.min(self.text.len()));
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let mut countdown = Countdown { left: 3 };
    while let Some(second) = countdown.anext().await? {
        println!("T minus {second}");
    }
    println!("lift-off");
    let mut chunks = Chunks {
        text: "windmill",
        size: 3,
    };
    while let Some(piece) = chunks.anext().await? {
        println!("piece {piece}");
    }
    Ok(())
}
