//! `StreamReader` without a transport (`test_streams.py`, `StreamTests`).

use std::fmt::Debug;

use asyncio_core::{
    Exception, Result, Runner, RuntimeError, Task, ValueError, create_task, get_running_loop, run,
    sleep,
};
use asyncio_net::{IncompleteReadError, LimitOverrunError, StreamReader};

const DATA: &[u8] = b"line1\nline2\nline3\n";

/// Runs a program on a loop whose clock jumps.
fn run_virtual<T: 'static>(main: impl Future<Output = Result<T>> + 'static) -> Result<T> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    let result = runner.run(main);
    runner.close()?;
    result
}

/// A reader with these bytes in it.
fn with(data: &[u8]) -> Result<StreamReader> {
    let reader = StreamReader::new();
    reader.feed_data(data)?;
    Ok(reader)
}

fn limited(limit: usize, data: &[u8]) -> Result<StreamReader> {
    let reader = StreamReader::with_limit(limit)?;
    reader.feed_data(data)?;
    Ok(reader)
}

/// Feeds these pieces in one turn, after those who run now.
fn feed_soon(reader: &StreamReader, pieces: &[&'static [u8]], eof: bool) -> Result<()> {
    let (reader, pieces) = (reader.clone(), pieces.to_vec());
    get_running_loop()?.call_soon(move || -> Result<()> {
        for piece in pieces {
            reader.feed_data(piece)?;
        }
        if eof {
            reader.feed_eof();
        }
        Ok(())
    })?;
    Ok(())
}

/// All that is still in a reader.
async fn rest(reader: &StreamReader) -> Result<Vec<u8>> {
    reader.feed_eof();
    reader.read(-1).await
}

#[track_caller]
fn error_of<E: std::error::Error + Clone + 'static>(result: Result<impl Debug>) -> E {
    let error = result.expect_err("an error was expected");
    error
        .downcast_ref::<E>()
        .unwrap_or_else(|| panic!("{error:?}"))
        .clone()
}

fn reading(reader: &StreamReader, count: isize) -> Task<Vec<u8>> {
    let reader = reader.clone();
    create_task(async move { reader.read(count).await })
}

/// `test_streams.StreamTests.test_read_zero`
#[test]
fn to_read_nothing_takes_no_wait() -> Result<()> {
    run_virtual(async {
        let reader = with(DATA)?;
        assert_eq!(reader.read(0).await?, b"");
        assert_eq!(StreamReader::new().read(0).await?, b"");
        assert_eq!(rest(&reader).await?, DATA);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_read`,
/// `test_streams.StreamTests.test_read_line_breaks`,
/// `test_streams.StreamTests.test_read_limit`
#[test]
fn read_takes_what_is_there_or_comes_next() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        let task = reading(&reader, 30);
        feed_soon(&reader, &[DATA], false)?;
        assert_eq!(task.await?, DATA);
        reader.feed_data(b"line1")?;
        reader.feed_data(b"line2")?;
        assert_eq!(reader.read(5).await?, b"line1");
        assert_eq!(rest(&reader).await?, b"line2");
        assert_eq!(limited(3, b"chunk")?.read(5).await?, b"chunk");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_read_eof`,
/// `test_streams.StreamTests.test_read_until_eof`
#[test]
fn read_ends_with_the_stream() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        let task = reading(&reader, 1024);
        feed_soon(&reader, &[], true)?;
        assert_eq!(task.await?, b"");
        let reader = StreamReader::new();
        let task = reading(&reader, -1);
        feed_soon(&reader, &[b"chunk1\n"], false)?;
        feed_soon(&reader, &[b"chunk2"], true)?;
        assert_eq!(task.await?, b"chunk1\nchunk2");
        assert!(reader.at_eof());
        Ok(())
    })
}

/// `test_streams.StreamTests.test_read_exception`,
/// `test_streams.StreamTests.test_readline_exception`,
/// `test_streams.StreamTests.test_readexactly_exception`
#[test]
fn an_exception_that_was_set_is_raised_by_every_read() -> Result<()> {
    run_virtual(async {
        let reader = with(b"line\n")?;
        assert_eq!(reader.read(2).await?, b"li");
        reader.set_exception(ValueError::new("no more"));
        let results = [
            reader.read(2).await,
            reader.read(0).await,
            reader.read(-1).await,
            reader.readline().await,
            reader.readexactly(2).await,
            reader.readuntil(b"n").await,
        ];
        for result in results {
            assert_eq!(error_of::<ValueError>(result).message(), "no more");
        }
        Ok(())
    })
}

/// `test_streams.StreamTests.test_invalid_limit`
#[test]
fn a_limit_of_nothing_is_an_error() {
    let error = StreamReader::with_limit(0).expect_err("nothing could be read");
    assert!(error.message().contains("limit"));
}

/// `test_streams.StreamTests.test_readline`
#[test]
fn a_line_is_put_together_from_its_pieces() -> Result<()> {
    run_virtual(async {
        let reader = with(b"chunk1 ")?;
        let theirs = reader.clone();
        let task = create_task(async move { theirs.readline().await });
        feed_soon(&reader, &[b"chunk2 ", b"chunk3 ", b"\n chunk4"], false)?;
        assert_eq!(task.await?, b"chunk1 chunk2 chunk3 \n");
        assert_eq!(rest(&reader).await?, b" chunk4");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readline_limit_with_existing_data`
#[test]
fn a_line_over_the_limit_is_dropped_as_far_as_it_is_there() -> Result<()> {
    run_virtual(async {
        let reader = limited(3, b"line1\nline2\n")?;
        error_of::<ValueError>(reader.readline().await);
        assert_eq!(rest(&reader).await?, b"line2\n");
        let reader = limited(3, b"line1li")?;
        error_of::<ValueError>(reader.readline().await);
        assert_eq!(rest(&reader).await?, b"");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readline_limit`
#[test]
fn the_limit_does_not_depend_on_the_pieces() -> Result<()> {
    run_virtual(async {
        for (pieces, left) in [
            (
                [b"chunk1".as_slice(), b"chunk2", b"chunk3\n"],
                b"".as_slice(),
            ),
            ([b"chunk1", b"chunk2\n", b"chunk3\n"], b"chunk3\n"),
        ] {
            let reader = StreamReader::with_limit(7)?;
            feed_soon(&reader, &pieces, true)?;
            error_of::<ValueError>(reader.readline().await);
            assert_eq!(rest(&reader).await?, left);
        }
        let reader = limited(7, b"1234567\n")?;
        assert_eq!(reader.readline().await?, b"1234567\n");
        for line in [b"12345678\n".as_slice(), b"12345678"] {
            reader.feed_data(line)?;
            error_of::<ValueError>(reader.readline().await);
            assert_eq!(format!("{reader:?}"), "<StreamReader limit=7>");
        }
        Ok(())
    })
}

/// `test_streams.StreamTests.test_at_eof`
#[test]
fn the_end_is_reached_when_all_has_been_read() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        assert!(!reader.at_eof());
        reader.feed_data(b"some data\n")?;
        assert!(!reader.at_eof());
        reader.readline().await?;
        assert!(!reader.at_eof());
        reader.feed_data(b"some data\n")?;
        reader.feed_eof();
        assert!(!reader.at_eof());
        reader.readline().await?;
        assert!(reader.at_eof());
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readline_nolimit_nowait`,
/// `test_streams.StreamTests.test_readline_eof`,
/// `test_streams.StreamTests.test_readline_empty_eof`,
/// `test_streams.StreamTests.test_readline_read_byte_count`
#[test]
fn lines_come_one_after_the_other_and_the_last_may_lack_its_newline() -> Result<()> {
    run_virtual(async {
        let reader = with(&DATA[..6])?;
        reader.feed_data(&DATA[6..])?;
        assert_eq!(reader.readline().await?, b"line1\n");
        assert_eq!(reader.read(7).await?, b"line2\nl");
        assert_eq!(reader.readline().await?, b"ine3\n");
        reader.feed_data(b"some data")?;
        reader.feed_eof();
        assert_eq!(
            reader.next_line().await?.as_deref(),
            Some(b"some data".as_slice())
        );
        assert_eq!(reader.readline().await?, b"");
        assert_eq!(reader.next_line().await?, None);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_separator`
#[test]
fn there_must_be_a_separator() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        error_of::<ValueError>(reader.readuntil(b"").await);
        error_of::<ValueError>(reader.readuntil_any(&[]).await);
        error_of::<ValueError>(reader.readuntil_any(&[b"a", b""]).await);
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_multi_chunks`,
/// `test_streams.StreamTests.test_readuntil_multi_chunks_1`
#[test]
fn a_separator_is_found_wherever_the_pieces_end() -> Result<()> {
    run_virtual(async {
        let reader = with(b"lineAAAxxx")?;
        assert_eq!(reader.readuntil(b"AAA").await?, b"lineAAA");
        assert_eq!(rest(&reader).await?, b"xxx");
        for pieces in [
            [b"QWEaa".as_slice(), b"XYaa", b"a"],
            [b"QWEaa", b"XYa", b"aa"],
            [b"a", b"a", b"a"],
            [b"YYYa", b"a", b"a"],
        ] {
            let reader = StreamReader::new();
            for piece in pieces {
                feed_soon(&reader, &[piece], false)?;
            }
            assert_eq!(reader.readuntil(b"aaa").await?, pieces.concat());
            assert_eq!(rest(&reader).await?, b"");
        }
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_eof`
#[test]
fn the_end_before_the_separator_is_an_error_with_what_there_was() -> Result<()> {
    run_virtual(async {
        let reader = with(b"some dataAA")?;
        reader.feed_eof();
        let error: IncompleteReadError = error_of(reader.readuntil(b"AAA").await);
        assert_eq!(
            (error.partial(), error.expected()),
            (b"some dataAA".as_slice(), None)
        );
        assert_eq!(
            error.to_string(),
            "11 bytes read on a total of undefined expected bytes"
        );
        assert!(reader.at_eof());
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_limit_found_sep`
#[test]
fn a_separator_over_the_limit_leaves_the_bytes() -> Result<()> {
    run_virtual(async {
        let reader = limited(3, b"some dataAA")?;
        let error: LimitOverrunError = error_of(reader.readuntil(b"AAA").await);
        assert!(error.to_string().contains("not found"));
        assert_eq!(error.consumed(), 9);
        reader.feed_data(b"A")?;
        let error: LimitOverrunError = error_of(reader.readuntil(b"AAA").await);
        assert!(error.to_string().contains("is found"));
        assert_eq!(error.consumed(), 9);
        assert_eq!(rest(&reader).await?, b"some dataAAA");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_multi_separator`
#[test]
fn of_several_separators_the_first_to_end_counts() -> Result<()> {
    run_virtual(async {
        let reader = with(b"line 1\nline 2\r")?;
        assert_eq!(reader.readuntil_any(&[b"\r", b"\n"]).await?, b"line 1\n");
        assert_eq!(reader.readuntil_any(&[b"\r", b"\n"]).await?, b"line 2\r");
        reader.feed_data(b"ABCDEFG")?;
        assert_eq!(reader.readuntil_any(&[b"DEF", b"BCDE"]).await?, b"ABCDE");
        assert_eq!(rest(&reader).await?, b"FG");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_multi_separator_limit`
#[test]
fn of_two_separators_that_end_together_the_shorter_counts() -> Result<()> {
    run_virtual(async {
        for separators in [[b"A".as_slice(), b"ome dataA"], [b"ome dataA", b"A"]] {
            let reader = limited(3, b"some dataA")?;
            let error: LimitOverrunError = error_of(reader.readuntil_any(&separators).await);
            assert_eq!(error.consumed(), 9);
            assert_eq!(rest(&reader).await?, b"some dataA");
        }
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readuntil_multi_separator_negative_offset`
#[test]
fn a_separator_longer_than_all_that_is_there_does_no_harm() -> Result<()> {
    run_virtual(async {
        let reader = with(b"data")?;
        let theirs = reader.clone();
        let task = create_task(async move { theirs.readuntil_any(&[b"A", b"long sep"]).await });
        feed_soon(&reader, &[b"Z"], false)?;
        feed_soon(&reader, &[b"Aaaa"], false)?;
        assert_eq!(task.await?, b"dataZA");
        assert_eq!(rest(&reader).await?, b"aaa");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readexactly_zero_or_less`,
/// `test_streams.StreamTests.test_readexactly`,
/// `test_streams.StreamTests.test_readexactly_limit`
#[test]
fn readexactly_waits_for_all_of_it() -> Result<()> {
    run_virtual(async {
        let reader = with(DATA)?;
        assert_eq!(reader.readexactly(0).await?, b"");
        error_of::<ValueError>(reader.readexactly(-1).await);
        assert_eq!(rest(&reader).await?, DATA);
        let reader = StreamReader::new();
        let theirs = reader.clone();
        let count = isize::try_from(2 * DATA.len()).expect("it is small");
        let task = create_task(async move { theirs.readexactly(count).await });
        feed_soon(&reader, &[DATA, DATA, DATA], false)?;
        assert_eq!(task.await?, [DATA, DATA].concat());
        assert_eq!(rest(&reader).await?, DATA);
        assert_eq!(limited(3, b"chunk")?.readexactly(5).await?, b"chunk");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_readexactly_eof`
#[test]
fn the_end_before_all_of_it_is_an_error_with_what_there_was() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        feed_soon(&reader, &[b"abc"], true)?;
        let error: IncompleteReadError = error_of(reader.readexactly(5).await);
        assert_eq!(
            (error.partial(), error.expected()),
            (b"abc".as_slice(), Some(5))
        );
        assert_eq!(
            error.to_string(),
            "3 bytes read on a total of 5 expected bytes"
        );
        assert_eq!(error.into_partial(), b"abc");
        assert_eq!(format!("{reader:?}"), "<StreamReader eof>");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_exception`,
/// `test_streams.StreamTests.test_exception_waiter`
#[test]
fn an_exception_is_raised_where_one_waits() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        assert!(reader.exception().is_none());
        let task = reading(&reader, 5);
        sleep(0).await?;
        reader.set_exception(ValueError::new("no more"));
        assert_eq!(error_of::<ValueError>(task.await).message(), "no more");
        assert!(
            reader
                .exception()
                .is_some_and(|error| error.is::<ValueError>())
        );
        Ok(())
    })
}

/// `test_streams.StreamTests.test_exception_cancel`
#[test]
fn who_was_cancelled_waits_no_more() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        let task = reading(&reader, 5);
        sleep(0).await?;
        assert_eq!(format!("{reader:?}"), "<StreamReader waiter>");
        task.cancel();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(format!("{reader:?}"), "<StreamReader>");
        Ok(())
    })
}

/// `test_streams.StreamTests.test___repr__`,
/// `test_streams.StreamTests.test___repr__nondefault_limit`,
/// `test_streams.StreamTests.test___repr__eof`,
/// `test_streams.StreamTests.test___repr__data`,
/// `test_streams.StreamTests.test___repr__exception`
#[test]
fn it_shows_its_state() -> Result<()> {
    assert_eq!(format!("{:?}", StreamReader::new()), "<StreamReader>");
    assert_eq!(
        format!("{:?}", limited(123, b"")?),
        "<StreamReader limit=123>"
    );
    let reader = with(b"data")?;
    assert_eq!(format!("{reader:?}"), "<StreamReader 4 bytes>");
    reader.feed_eof();
    reader.set_exception(RuntimeError::new("no"));
    assert!(format!("{reader:?}").starts_with("<StreamReader 4 bytes eof exception=RuntimeError"));
    Ok(())
}

#[test]
fn one_at_a_time_waits() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        let task = reading(&reader, 5);
        sleep(0).await?;
        error_of::<RuntimeError>(reader.read(5).await);
        reader.feed_data(b"abc")?;
        assert_eq!(task.await?, b"abc");
        Ok(())
    })
}

/// `test_streams.StreamTests.test_feed_empty_data`,
/// `test_streams.StreamTests.test_feed_nonempty_data`
#[test]
fn what_is_fed_is_kept() -> Result<()> {
    let reader = StreamReader::new();
    reader.feed_data(b"")?;
    assert_eq!(format!("{reader:?}"), "<StreamReader>");
    reader.feed_data(b"data")?;
    assert_eq!(format!("{reader:?}"), "<StreamReader 4 bytes>");
    Ok(())
}

#[test]
fn nothing_is_fed_after_the_end() {
    let reader = StreamReader::new();
    reader.feed_eof();
    assert!(reader.feed_data(b"late").is_err());
    assert!(reader.at_eof());
}

/// Bytes that come after the exception are read by nobody, and those that came before the wake are kept.
#[test]
fn a_cancelled_read_leaves_the_bytes_that_woke_it() -> Result<()> {
    run_virtual(async {
        let reader = StreamReader::new();
        for count in [1, 3] {
            let theirs = reader.clone();
            let task = create_task(async move { theirs.readexactly(count).await });
            sleep(0).await?;
            reader.feed_data(b"ab")?;
            task.cancel();
            assert!(task.await.is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!(rest(&reader).await?, b"abab");
        Ok(())
    })
}

#[test]
fn it_may_be_fed_from_another_thread() -> Result<()> {
    let reader = StreamReader::new();
    let feeder = reader.clone();
    let other = std::thread::spawn(move || {
        for number in 0..1000 {
            feeder.feed_data(format!("{number}\n").as_bytes())?;
        }
        feeder.feed_eof();
        Ok::<(), Exception>(())
    });
    run(async move {
        for number in 0..1000 {
            assert_eq!(reader.readline().await?, format!("{number}\n").into_bytes());
        }
        assert_eq!(reader.next_line().await?, None);
        Ok(())
    })?;
    other.join().expect("it does not panic")
}

#[test]
fn it_may_go_anywhere() {
    fn goes_anywhere<T: Send + Sync + Unpin + 'static>() {}
    fn is_send<T: Send>(value: T) {
        drop(value);
    }
    goes_anywhere::<StreamReader>();
    goes_anywhere::<IncompleteReadError>();
    goes_anywhere::<LimitOverrunError>();
    let reader = StreamReader::new();
    is_send(reader.read(1));
    is_send(reader.readline());
    is_send(reader.readexactly(1));
    is_send(reader.readuntil(b"a"));
}
