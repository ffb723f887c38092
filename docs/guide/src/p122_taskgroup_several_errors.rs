//! Several failures arrive in one `ExceptionGroup` and are sorted by kind with several clauses.

use std::io;

use asyncio_compat as asyncio;

async fn sensor(
    name: &str,
    gate: asyncio::Event,
    problem: Option<asyncio::Exception>,
) -> asyncio::Result<&str> {
    gate.wait().await?;
    problem.map_or(Ok(name), Err)
}

fn texts(group: &asyncio::ExceptionGroup) -> String {
    let texts: Vec<_> = group.exceptions().iter().map(ToString::to_string).collect();
    texts.join("; ")
}

pub(crate) async fn main() -> asyncio::Result<()> {
    let gate = asyncio::Event::new();
    let outcome = asyncio::task_group(async |group| {
        let odd = |text| Some(asyncio::ValueError::new(text).into());
        let cut = Some(io::Error::other("cellar cable cut").into());
        group.create_task(sensor("roof", gate.clone(), odd("roof reads -400")));
        group.create_task(sensor("cellar", gate.clone(), cut));
        group.create_task(sensor("yard", gate.clone(), odd("yard reads 900")));
        group.create_task(sensor("hall", gate.clone(), None));
        asyncio::sleep(0.02).await?;
        gate.set();
        Ok(())
    })
    .await;
    asyncio::except_star!(outcome, {
        asyncio::ValueError => |wrong| {
            println!("bad readings: {}", texts(&wrong));
            Ok(())
        },
        io::Error => |broken| {
            println!("broken lines: {}", texts(&broken));
            Ok(())
        }
    })?;
    println!("went on");
    Ok(())
}
