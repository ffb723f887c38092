//! asyncio inside a tokio program: `#[tokio::main]` stays, and tasks are ours where it matters how they
//! end.
//!
//!     cargo run -p asyncio-core --example tokio_main

use std::time::Duration;

use asyncio_core::{
    FutureExt as _, Result, TimeoutError, ValueError, create_task, except_star, gather, sleep,
    task_group, timeout,
};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<()> {
    for line in program().await? {
        println!("{line}");
    }
    Ok(())
}

/// Everything this example shows, a line for each.
pub(crate) async fn program() -> Result<Vec<String>> {
    let mut shown = Vec::new();

    // Tasks run on tokio's threads, as those of `tokio::spawn` do. Their errors come with `?`.
    let (price, stock) = gather((price("tea"), stock("tea"))).await?;
    shown.push(format!("tea: {price} cents, {stock} left"));

    // Cancelling is an error at the await. The task can clean up, with further awaits.
    let upload = create_task(upload());
    sleep(0.01).await?;
    upload.cancel_with_message("shutting down");
    let ended = upload.await.expect_err("it was cancelled");
    shown.push(format!("upload: {ended}"));

    // A time limit holds for futures of other libraries as well: they are dropped.
    let slow = timeout(0.01, async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(())
    });
    if let Err(error) = slow.await {
        assert!(error.is::<TimeoutError>());
        shown.push(format!("slow: {error}"));
    }

    // What belongs together ends together, and all errors are reported.
    let orders = task_group(async |group| {
        group.create_task(order("tea", 1));
        group.create_task(order("coffee", 0));
        group.create_task(async { sleep(3600).await }); // is cancelled
        Ok(())
    });
    except_star!(orders.await, {
        ValueError => |refused| {
            let errors = refused.exceptions().iter();
            shown.extend(errors.map(|error| format!("refused: {error}")));
            Ok(())
        }
    })?;
    Ok(shown)
}

async fn price(_article: &'static str) -> Result<u32> {
    sleep(0.002).await?;
    Ok(350)
}

async fn stock(_article: &'static str) -> Result<u32> {
    // A foreign future that is made one at which cancellation can be caught.
    let waited = tokio::time::sleep(Duration::from_millis(1));
    waited.cancellable().await?;
    Ok(12)
}

async fn upload() -> Result<()> {
    let sent = sleep(3600).await;
    if sent.is_err() {
        // The half-written file is removed before anybody hears of the end.
        sleep(0.001).await?;
    }
    sent
}

async fn order(article: &'static str, count: u32) -> Result<()> {
    sleep(0.001).await?;
    if count == 0 {
        return Err(ValueError::new(format!("no {article} was ordered")).into());
    }
    Ok(())
}
