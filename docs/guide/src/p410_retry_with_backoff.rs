//! A failing call is repeated with pauses that double; the last failure is passed on.

use std::io;

use asyncio_compat as asyncio;

const UNIT: f64 = 0.01;

struct Radio {
    failures: u32,
    calls: u32,
}

impl Radio {
    async fn send(&mut self, text: &str) -> asyncio::Result<String> {
        self.calls += 1;
        asyncio::sleep(0).await?;
        if self.calls <= self.failures {
            return Err(io::Error::other(format!("static on call {}", self.calls)).into());
        }
        Ok(format!("{text} received on call {}", self.calls))
    }
}

async fn send_stubbornly(radio: &mut Radio, text: &str) -> asyncio::Result<(String, Vec<u32>)> {
    let mut pauses = Vec::new();
    for pause in [1, 2, 4] {
        match radio.send(text).await {
            Err(error) if error.is::<io::Error>() => {
                println!("{error}, next try after {pause} units");
                pauses.push(pause);
                asyncio::sleep(f64::from(pause) * UNIT).await?;
            }
            other => return Ok((other?, pauses)),
        }
    }
    Ok((radio.send(text).await?, pauses))
}

pub(crate) async fn main() -> asyncio::Result<()> {
    for failures in [0, 2, 9] {
        let mut radio = Radio { failures, calls: 0 };
        match send_stubbornly(&mut radio, "hello").await {
            Ok((answer, pauses)) => println!("{answer} after pauses {pauses:?}"),
            Err(error) if error.is::<io::Error>() => println!("gave up: {error}"),
            Err(error) => return Err(error),
        }
        println!("calls {}", radio.calls);
    }
    Ok(())
}
