//! Every task sees its own copy of the context variables; `to_thread` takes them along,
//! `run_in_executor` does not.

use asyncio_compat as asyncio;

static GUEST: asyncio::ContextVar<&str> = asyncio::ContextVar::with_default("guest", "nobody");

fn guest() -> &'static str {
    GUEST.get().expect("it has a default")
}

fn menu() -> asyncio::Result<String> {
    Ok(format!("menu for {}", guest()))
}

async fn serve(name: &'static str) -> asyncio::Result<String> {
    let _ = GUEST.set(name)?;
    asyncio::sleep(0.01).await?;
    asyncio::to_thread(menu).await
}

pub(crate) async fn main() -> asyncio::Result<()> {
    for line in asyncio::gather(["Ruth", "Omar", "Lin"].map(serve)).await? {
        println!("{line}");
    }
    println!("main still serves {}", guest());

    let _ = GUEST.set("the cook")?;
    println!("to_thread: {}", asyncio::to_thread(menu).await?);
    let event_loop = asyncio::get_running_loop()?;
    println!(
        "run_in_executor: {}",
        event_loop.run_in_executor(None, menu).await?
    );
    let context = asyncio::copy_context();
    let copied = event_loop.run_in_executor(None, move || context.run(menu)?);
    println!("with a copied context: {}", copied.await?);
    Ok(())
}
