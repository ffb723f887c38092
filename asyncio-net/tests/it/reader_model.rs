//! A reader against a model that has all bytes at once, with pieces, reads and cancels at random.

use asyncio_core::{Result, Runner, create_task, sleep};
use asyncio_net::{IncompleteReadError, StreamReader};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Read {
    Some(isize),
    Exactly(isize),
    Line,
    Until(Vec<Vec<u8>>),
}

/// A read, and whether it is cancelled after so many turns.
fn reads() -> impl Strategy<Value = Vec<(Read, Option<usize>)>> {
    let separator = prop::collection::vec(prop::sample::select(b"ab\n".as_slice()), 1..4);
    let read = prop_oneof![
        (0..6_isize).prop_map(Read::Some),
        (0..6_isize).prop_map(Read::Exactly),
        Just(Read::Line),
        prop::collection::vec(separator, 1..4).prop_map(Read::Until),
    ];
    let cancelled = prop_oneof![2 => Just(None), 1 => (0..4_usize).prop_map(Some)];
    prop::collection::vec((read, cancelled), 0..30)
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let piece = prop::collection::vec(prop::sample::select(b"ab\n".as_slice()), 0..6);
    prop::collection::vec(piece, 0..20)
}

proptest! {
    /// Whatever is cancelled, the reads return the bytes in order, each as much as it should.
    #[test]
    fn no_byte_is_lost_or_doubled(pieces in pieces(), reads in reads()) {
        let result = check(pieces, reads);
        prop_assert!(result.is_ok(), "{result:?}");
    }
}

fn check(pieces: Vec<Vec<u8>>, reads: Vec<(Read, Option<usize>)>) -> Result<()> {
    let runner = Runner::builder().virtual_clock(true).build()?;
    let result = runner.run(async move {
        let (reader, all) = (StreamReader::new(), pieces.concat());
        let feeder = reader.clone();
        let feeding = create_task(async move {
            for piece in pieces {
                feeder.feed_data(&piece)?;
                sleep(0).await?;
            }
            feeder.feed_eof();
            Ok(())
        });
        let mut left = all.as_slice();
        for (read, cancelled) in reads {
            let (theirs, wanted) = (reader.clone(), read.clone());
            let task = create_task(async move { perform(&theirs, &wanted).await });
            if let Some(turns) = cancelled {
                for _ in 0..turns {
                    sleep(0).await?;
                }
                task.cancel();
            }
            let got = match task.await {
                Err(error) if error.is_cancelled() => continue,
                got => got?,
            };
            assert!(left.starts_with(&got), "{got:?} is not how {left:?} begins");
            let expected = expected(&read, left);
            match read {
                // It takes what is there, but something if anything is to come.
                Read::Some(_) => {
                    assert!(got.len() <= expected);
                    assert!(!got.is_empty() || expected == 0);
                }
                _ => assert_eq!(got.len(), expected),
            }
            left = &left[got.len()..];
        }
        feeding.await?;
        assert_eq!(reader.read(-1).await?, left);
        assert!(reader.at_eof());
        Ok(())
    });
    runner.close()?;
    result
}

/// Reads; what is incomplete counts as read.
async fn perform(reader: &StreamReader, read: &Read) -> Result<Vec<u8>> {
    let result = match read {
        Read::Some(count) => reader.read(*count).await,
        Read::Exactly(count) => reader.readexactly(*count).await,
        Read::Line => reader.readline().await,
        Read::Until(separators) => {
            let separators: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
            reader.readuntil_any(&separators).await
        }
    };
    result.or_else(|error| match error.downcast_ref::<IncompleteReadError>() {
        Some(incomplete) => Ok(incomplete.partial().to_vec()),
        None => Err(error),
    })
}

/// How many bytes it is to return, or at most, when these are all there will be.
fn expected(read: &Read, left: &[u8]) -> usize {
    let whole = left.len();
    match read {
        Read::Some(count) | Read::Exactly(count) => count.unsigned_abs().min(whole),
        Read::Line => left
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(whole, |at| at + 1),
        Read::Until(separators) => (0..=whole)
            .find(|end| {
                separators
                    .iter()
                    .any(|separator| left[..*end].ends_with(separator))
            })
            .unwrap_or(whole),
    }
}
