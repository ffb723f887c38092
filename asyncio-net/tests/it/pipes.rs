//! Pipes and terminals (that part of `test_events.py`, and of `test_streams.py`).

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use asyncio_core::{Result, create_task};
use asyncio_net::{connect_read_pipe, connect_write_pipe};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::support::{everywhere, kind, pattern};

/// `test_events.EventLoopTestsMixin.test_read_pipe`,
/// `test_events.EventLoopTestsMixin.test_write_pipe`
#[test]
fn a_pipe_carries_bytes_to_its_end() -> Result<()> {
    everywhere(|| async {
        let (theirs, mut ours) = std::io::pipe()?;
        let reader = connect_read_pipe(theirs)?;
        ours.write_all(b"1")?;
        assert_eq!(reader.readexactly(1).await?, b"1");
        ours.write_all(b"2345")?;
        assert_eq!(reader.readexactly(4).await?, b"2345");
        drop(ours);
        assert_eq!(reader.read(1).await?, b"");
        assert!(reader.at_eof());

        let (mut theirs, ours) = std::io::pipe()?;
        let writer = connect_write_pipe(ours)?;
        writer.write(b"1");
        writer.flush().await?;
        let mut buffer = [0; 10];
        assert_eq!(theirs.read(&mut buffer)?, 1);
        writer.write(b"2345");
        writer.flush().await?;
        assert_eq!(theirs.read(&mut buffer)?, 4);
        writer.close();
        writer.wait_closed().await?;
        assert_eq!(theirs.read(&mut buffer)?, 0);
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_write_pipe_disconnect_on_close` has it for protocols: a stream
/// hears of it by writing.
#[test]
fn whoever_writes_to_a_pipe_that_nobody_reads_hears_of_it() -> Result<()> {
    everywhere(|| async {
        let (theirs, ours) = std::io::pipe()?;
        let writer = connect_write_pipe(ours)?;
        writer.write(b"1");
        writer.flush().await?;
        drop(theirs);
        writer.write(b"2");
        assert_eq!(kind(writer.drain().await), ErrorKind::BrokenPipe);
        assert!(writer.is_closing());
        assert_eq!(kind(writer.wait_closed().await), ErrorKind::BrokenPipe);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_read_all_from_pipe_reader`: more than the limit, and than a pipe holds.
#[test]
fn all_of_a_pipe_can_be_read_at_once() -> Result<()> {
    everywhere(|| async {
        let (theirs, ours) = std::io::pipe()?;
        let (reader, writer) = (connect_read_pipe(theirs)?, connect_write_pipe(ours)?);
        let data = pattern(1 << 20);
        let sent = data.clone();
        let sending = create_task(async move {
            writer.write(&sent);
            writer.close();
            writer.wait_closed().await
        });
        assert!(reader.read(-1).await? == data);
        sending.await
    })
}

/// The two ends of a terminal that changes nothing of what goes through it.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let leader = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&leader)?;
    unlockpt(&leader)?;
    let name = ptsname(&leader, Vec::new())?;
    let path = std::path::PathBuf::from(name.to_str()?);
    let follower: OwnedFd = File::options().read(true).write(true).open(path)?.into();
    let mut modes = tcgetattr(&follower)?;
    modes.make_raw();
    tcsetattr(&follower, OptionalActions::Now, &modes)?;
    Ok((leader, follower))
}

/// `test_events.EventLoopTestsMixin.test_read_pty_output`: the end of a terminal is an error of the
/// operating system (`EIO`), as it is for Python's protocols.
#[test]
fn a_terminal_is_read_until_its_other_side_is_closed() -> Result<()> {
    everywhere(|| async {
        let (leader, follower) = terminal()?;
        let reader = connect_read_pipe(leader)?;
        let mut program = File::from(follower);
        program.write_all(b"1")?;
        assert_eq!(reader.readexactly(1).await?, b"1");
        program.write_all(b"2345")?;
        assert_eq!(reader.readexactly(4).await?, b"2345");
        drop(program);
        let error = reader.read(1).await.expect_err("nobody is there");
        let number = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::raw_os_error);
        assert_eq!(number, Some(libc::EIO));
        Ok(())
    })
}

/// `test_events.EventLoopTestsMixin.test_write_pty`,
/// `test_events.EventLoopTestsMixin.test_bidirectional_pty`
#[test]
fn a_terminal_is_read_and_written() -> Result<()> {
    everywhere(|| async {
        let (leader, follower) = terminal()?;
        let mut leader = File::from(leader);
        let reader = connect_read_pipe(follower.try_clone()?)?;
        let writer = connect_write_pipe(follower)?;
        let mut buffer = [0; 10];
        for round in 0..3 {
            writer.write(b"from the program");
            writer.flush().await?;
            let mut heard = Vec::new();
            while heard.len() < 16 {
                let count = leader.read(&mut buffer)?;
                heard.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(heard, b"from the program");
            leader.write_all(&[round; 5])?;
            assert_eq!(reader.readexactly(5).await?, [round; 5]);
        }
        writer.close();
        writer.wait_closed().await
    })
}
