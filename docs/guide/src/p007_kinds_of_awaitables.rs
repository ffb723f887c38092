//! A coroutine, a task, a future and anything that is `IntoFuture` can all be awaited.

use std::pin::Pin;

use asyncio_compat as asyncio;

async fn dice() -> asyncio::Result<u32> {
    asyncio::sleep(0).await?;
    Ok(4)
}

struct Ferry {
    cargo: &'static str,
}

impl IntoFuture for Ferry {
    type Output = asyncio::Result<String>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            asyncio::sleep(0).await?;
            Ok(format!("landed {}", self.cargo))
        })
    }
}

pub(crate) async fn main() -> asyncio::Result<()> {
    println!("coroutine gives {}", dice().await?);

    println!("task gives {}", asyncio::create_task(dice()).await?);

    let future = asyncio::Future::new();
    let answer = future.clone();
    asyncio::get_running_loop()?.call_soon(move || answer.set_result(9))?;
    println!("future gives {}", future.await?);

    println!("own awaitable gives {}", Ferry { cargo: "timber" }.await?);
    Ok(())
}
