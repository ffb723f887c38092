//! asyncio inside the handlers of an axum server: tasks, a time limit, a task group, and a client that
//! leaves before it has its answer.
//!
//!     cargo run -p asyncio-core --example axum_handler

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asyncio_core::{
    Exception, Result, TaskHandle, TimeoutError, ValueError, create_task, sleep, task_group,
    timeout,
};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "an example shows what it does")]
async fn main() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/orders/tea", listener.local_addr()?);
    axum::serve(listener, app(Arc::default())).await?;
    Ok(())
}

/// What the handlers share.
#[derive(Default)]
pub(crate) struct Shop {
    /// Reports that were begun.
    pub(crate) begun: AtomicUsize,
    /// Reports whose clients left, and which were cleaned up after.
    pub(crate) abandoned: AtomicUsize,
}

/// The routes.
pub(crate) fn app(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/orders/{article}", get(order))
        .route("/slow", get(slow))
        .route("/report", get(report))
        .with_state(shop)
}

/// Two questions at once. Should one of them fail, the other one is cancelled and awaited, and the
/// client is told of all errors.
async fn order(Path(article): Path<String>) -> Result<String, Failed> {
    let (price, stock) = task_group(async |group| {
        let price = group.create_task(price(article.clone()));
        let stock = group.create_task(stock(article.clone()));
        Ok((price.await?, stock.await?))
    })
    .await?;
    Ok(format!("{article}: {price} cents, {stock} left"))
}

/// Work that takes too long, whatever it consists of.
async fn slow() -> Result<String, Failed> {
    let answer = timeout(0.02, async {
        sleep(3600).await?;
        Ok("never said".to_owned())
    });
    Ok(answer.await?)
}

/// Work that has to be cleaned up after, with awaits, should the client leave.
///
/// A server drops the handler then. The work is a task of its own, which outlives that; the guard turns
/// the drop into a request to cancel.
async fn report(State(shop): State<Arc<Shop>>) -> Result<String, Failed> {
    let work = create_task(async move {
        shop.begun.fetch_add(1, Ordering::SeqCst);
        let written = sleep(3600).await;
        if written.is_err() {
            sleep(0.001).await?; // the half-written file is removed
            shop.abandoned.fetch_add(1, Ordering::SeqCst);
        }
        written.map(|()| "never written".to_owned())
    });
    let _leaves = CancelOnDrop(work.handle());
    Ok(work.await?)
}

async fn price(article: String) -> Result<u32> {
    sleep(0.001).await?;
    match article.as_str() {
        "tea" => Ok(350),
        other => Err(ValueError::new(format!("there is no {other}")).into()),
    }
}

async fn stock(_article: String) -> Result<u32> {
    sleep(0.002).await?;
    Ok(12)
}

/// Cancels a task when it goes; without effect on one that is done.
struct CancelOnDrop(Option<TaskHandle>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.cancel_with_message("the client has left");
        }
    }
}

/// An exception as a response, so that handlers may use `?`.
struct Failed(Exception);

impl<E: Into<Exception>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Self(error) = self;
        if error.is::<TimeoutError>() {
            return (StatusCode::GATEWAY_TIMEOUT, error.to_string()).into_response();
        }
        let texts: Vec<String> = match error.as_group() {
            Some(group) => group.exceptions().iter().map(ToString::to_string).collect(),
            None => vec![error.to_string()],
        };
        (StatusCode::BAD_REQUEST, texts.join("\n")).into_response()
    }
}
