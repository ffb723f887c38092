//! `aclosing` runs a generator's clean-up as soon as the block is left, also after a `break`.

use asyncio_compat as asyncio;

fn tap() -> asyncio::AsyncGenerator<u32> {
    asyncio::async_generator(async |mut water| {
        println!("tap opened");
        let ran: asyncio::Result<()> = async {
            for litre in 1.. {
                asyncio::sleep(0).await?;
                water.yield_(litre).await?;
            }
            Ok(())
        }
        .await;
        asyncio::sleep(0.01).await?;
        println!("tap closed");
        ran
    })
}

pub(crate) async fn main() -> asyncio::Result<()> {
    asyncio::aclosing(tap(), async |litres| {
        while let Some(litre) = litres.anext().await? {
            println!("litre {litre}");
            if litre == 3 {
                break;
            }
        }
        Ok(())
    })
    .await?;
    println!("bucket carried away");
    Ok(())
}
