//! A callback-style library is wrapped in a future, for its success, its error and its cancellation.

use asyncio_compat as asyncio;

/// Old style: `start` reports to one of two callbacks.
struct Weighbridge {
    event_loop: asyncio::EventLoop,
}

impl Weighbridge {
    fn start<R: asyncio::CallbackResult>(
        &self,
        lorry: &str,
        on_weight: impl FnOnce(usize) -> R + 'static,
        on_error: impl FnOnce(asyncio::ValueError) -> R + 'static,
    ) -> asyncio::Result<()> {
        if lorry == "tricycle" {
            let error = asyncio::ValueError::new(format!("{lorry} is no lorry"));
            self.event_loop.call_later(0.02, move || on_error(error))?;
        } else {
            let weight = 1000 * lorry.len();
            self.event_loop
                .call_later(0.02, move || on_weight(weight))?;
        }
        Ok(())
    }
}

async fn weigh(bridge: &Weighbridge, lorry: &'static str) -> asyncio::Result<usize> {
    let future = asyncio::Future::new();
    future.add_done_callback(move |_| println!("{lorry}: future is done"));
    let (weighed, failed) = (future.clone(), future.clone());
    bridge.start(
        lorry,
        move |weight| weighed.set_result(weight),
        move |error| failed.set_exception(error),
    )?;
    future.await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let bridge = Weighbridge {
        event_loop: asyncio::get_running_loop()?,
    };
    println!("{} kg", weigh(&bridge, "tanker").await?);
    match weigh(&bridge, "tricycle").await {
        Err(error) if error.is::<asyncio::ValueError>() => println!("error: {error}"),
        other => drop(other?),
    }
    let future = asyncio::Future::<()>::new();
    future.cancel();
    if future.await.is_err_and(|error| error.is_cancelled()) {
        println!("a cancelled future raises CancelledError");
    }
    Ok(())
}
