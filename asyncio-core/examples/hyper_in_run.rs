//! hyper on our loop: a server and its clients in one `run`, on one thread.
//!
//!     cargo run -p asyncio-core --example hyper_in_run

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use asyncio_core::{
    FutureExt as _, Result, TimeoutError, create_local_task, create_task, gather, run, sleep,
    timeout, wrap_future,
};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn main() -> Result<()> {
    for line in program()? {
        println!("{line}");
    }
    Ok(())
}

/// Everything this example shows, a line for each.
pub(crate) fn program() -> Result<Vec<String>> {
    run(async {
        let mut shown = Vec::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let server = create_local_task(serve(listener));

        // Three requests at the same time.
        let pages = gather([
            fetch(address, "/one"),
            fetch(address, "/two"),
            fetch(address, "/three"),
        ]);
        shown.extend(pages.await?);

        // A limit for one that is never answered: its connection is closed by that.
        let late = timeout(0.05, fetch(address, "/never")).await;
        if let Err(error) = late {
            assert!(error.is::<TimeoutError>());
            shown.push(format!("/never: {error}"));
        }

        // And one that is cancelled, and says so before it ends.
        let request = create_task(async move {
            match fetch(address, "/never").await {
                Err(error) if error.is_cancelled() => Ok(format!("/never: {error}")),
                other => other,
            }
        });
        sleep(0.02).await?;
        request.cancel_with_message("no longer wanted");
        shown.push(request.await?);

        server.cancel();
        assert!(server.await.is_err_and(|error| error.is_cancelled()));
        Ok(shown)
    })
}

/// One request on a connection of its own, and the body of its answer.
async fn fetch(address: SocketAddr, path: &'static str) -> Result<String> {
    let stream = TcpStream::connect(address).cancellable().await??;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.cancellable().await??;
    // The connection runs beside the request, and ends with it: dropping the task's handle alone would
    // not do that.
    let connection = wrap_future(connection);
    let answer = async {
        let request = Request::get(path)
            .header("host", address.to_string())
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).cancellable().await??;
        let body = response.into_body().collect().cancellable().await??;
        Ok(String::from_utf8(body.to_bytes().to_vec())?)
    };
    let answer = answer.await;
    connection.cancel();
    answer
}

/// Answers each connection in a task of its own.
async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        drop(create_task(async move {
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that leaves is no error of ours.
            let _ = connection
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            Ok(())
        }));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/never" {
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let text = format!("{}: hello", request.uri().path());
    Ok(Response::new(Full::new(Bytes::from(text))))
}
