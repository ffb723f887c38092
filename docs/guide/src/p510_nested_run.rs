//! `asyncio::run` inside a running loop is refused; inside one awaits.

use asyncio_compat as asyncio;

async fn forecast() -> asyncio::Result<&'static str> {
    asyncio::sleep(0.01).await?;
    Ok("showers")
}

fn helper_for_scripts() -> asyncio::Result<&'static str> {
    asyncio::run(forecast())
}

async fn program() -> asyncio::Result<()> {
    match helper_for_scripts() {
        Err(error) if error.is::<asyncio::RuntimeError>() => println!("RuntimeError: {error}"),
        other => println!("{}", other?),
    }
    println!("awaited instead: {}", forecast().await?);
    Ok(())
}

pub(crate) fn main() -> asyncio::Result<()> {
    asyncio::run(program())?;
    println!("outside a loop: {}", helper_for_scripts()?);
    Ok(())
}
