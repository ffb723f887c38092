//! The few words of PostgreSQL's protocol that ask a server from outside of the client under test.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::ClusterError;

/// What a statement returns: rows of columns, as text.
pub(super) type Rows = Vec<Vec<Option<String>>>;

/// A server that is alive answers an administrator within this time, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs statements on a connection of their own, as a role that is trusted, and returns the rows of
/// all of them.
pub(super) fn query(
    socket: &Path,
    user: &str,
    database: &str,
    sql: &str,
) -> Result<Rows, ClusterError> {
    let io = |source| ClusterError::io("ask the server")(source);
    let mut stream = UnixStream::connect(socket).map_err(io)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(io)?;
    let startup = format!("user\0{user}\0database\0{database}\0application_name\0testing\0\0");
    let mut body = 0x0003_0000_u32.to_be_bytes().to_vec();
    body.extend_from_slice(startup.as_bytes());
    send(&mut stream, None, &body).map_err(io)?;
    until_ready(&mut stream)?;
    send(&mut stream, Some(b'Q'), format!("{sql}\0").as_bytes()).map_err(io)?;
    let rows = until_ready(&mut stream)?;
    // At the end of the stream our backend is gone, so that whoever counts them next does not see it.
    // The answer is here already; a failure of this is no part of it.
    let _ = send(&mut stream, Some(b'X'), &[]);
    let _ = stream.read_to_end(&mut Vec::new());
    Ok(rows)
}

fn send(stream: &mut UnixStream, kind: Option<u8>, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    stream.write_all(&message)
}

/// Reads up to the server's being ready. An error on the way is the outcome.
fn until_ready(stream: &mut UnixStream) -> Result<Rows, ClusterError> {
    let io = |source| ClusterError::io("read the server's answer")(source);
    let (mut rows, mut failed) = (Vec::new(), None);
    loop {
        let mut head = [0_u8; 5];
        if let Err(error) = stream.read_exact(&mut head) {
            // What it said before it hung up is the better reason.
            return Err(failed.unwrap_or_else(|| io(error)));
        }
        let [kind, length @ ..] = head;
        let length = u32::from_be_bytes(length).saturating_sub(4);
        let mut body = Vec::new();
        let mut limited = Read::by_ref(stream).take(u64::from(length));
        limited.read_to_end(&mut body).map_err(io)?;
        match kind {
            b'Z' => return failed.map_or(Ok(rows), Err),
            b'D' => rows.push(columns(&body)),
            b'E' => failed = failed.or(Some(error(&body))),
            b'R' if body != [0; 4] => {
                return Err(ClusterError::Server {
                    sqlstate: "28000".to_owned(),
                    message: "this role is not trusted".to_owned(),
                });
            }
            _ => {}
        }
    }
}

/// The columns of a DataRow. What does not fit its announced length ends it.
fn columns(body: &[u8]) -> Vec<Option<String>> {
    let mut rest = body.get(2..).unwrap_or_default();
    let mut columns = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let (value, after) = match usize::try_from(length) {
            Err(_null) => (None, after),
            Ok(length) => {
                let Some((value, after)) = after.split_at_checked(length) else {
                    break;
                };
                (Some(String::from_utf8_lossy(value).into_owned()), after)
            }
        };
        columns.push(value);
        rest = after;
    }
    columns
}

fn error(body: &[u8]) -> ClusterError {
    let field = |wanted: u8| {
        let fields = body.split(|byte| *byte == 0);
        let mut values = fields.filter_map(|field| field.split_first());
        let value = values.find(|(kind, _)| **kind == wanted);
        value.map_or_else(String::new, |(_, value)| {
            String::from_utf8_lossy(value).into_owned()
        })
    };
    ClusterError::Server {
        sqlstate: field(b'C'),
        message: field(b'M'),
    }
}
