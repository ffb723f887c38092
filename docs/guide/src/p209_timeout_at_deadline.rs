//! Two phases share one deadline given in loop time; what the first uses up, the second lacks.

use asyncio_compat as asyncio;

use crate::yes;

async fn phase(name: &str, pause: f64) -> asyncio::Result<()> {
    asyncio::sleep(pause).await?;
    println!("{name} finished");
    Ok(())
}

async fn voyage(budget: f64, outward: f64, homeward: f64) -> asyncio::Result<()> {
    let deadline = asyncio::get_running_loop()?.time() + budget;
    let limit = asyncio::Timeout::at(deadline);
    let legs = limit.run(async {
        phase("outward leg", outward).await?;
        phase("homeward leg", homeward).await
    });
    match legs.await {
        Err(error) if error.is::<asyncio::TimeoutError>() => println!("supplies ran out"),
        other => {
            other?;
            let same = limit.when() == Some(deadline);
            println!("home in time, same deadline: {}", yes(same));
        }
    }
    Ok(())
}

pub(crate) async fn main() -> asyncio::Result<()> {
    voyage(5.0, 0.05, 0.05).await?;
    voyage(0.6, 0.3, 0.5).await
}
