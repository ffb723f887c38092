//! A reader beside a model that does naively what `asyncio/streams.py` says, with scripts of random feeds
//! and reads: each is polled by hand, so that the two can be compared after every step.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use asyncio_core::{Exception, Result, ValueError};
use asyncio_net::{IncompleteReadError, LimitOverrunError, StreamReader};

use crate::support::{Numbers, scaled};

#[derive(Clone, Debug)]
enum Read {
    Some(isize),
    Exactly(isize),
    Line,
    Until(Vec<&'static [u8]>),
}

/// What a read ends with.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Bytes(Vec<u8>),
    Value,
    Incomplete(Vec<u8>, Option<usize>),
    Overrun(usize),
}

#[derive(Debug, Default)]
struct Model {
    buffer: Vec<u8>,
    eof: bool,
    limit: usize,
}

impl Model {
    fn take(&mut self, count: usize) -> End {
        let rest = self.buffer.split_off(count.min(self.buffer.len()));
        End::Bytes(std::mem::replace(&mut self.buffer, rest))
    }

    /// One look of a read that has looked up to an offset; nothing while it waits.
    fn look(&mut self, read: &Read, offset: &mut usize) -> Option<End> {
        match read {
            Read::Some(0) => Some(End::Bytes(Vec::new())),
            Read::Some(count) => {
                let ready = self.eof || !self.buffer.is_empty();
                ready.then(|| self.take(count.unsigned_abs()))
            }
            Read::Exactly(..0) => Some(End::Value),
            Read::Exactly(count) => {
                let count = count.unsigned_abs();
                if self.buffer.len() < count && self.eof {
                    let partial = std::mem::take(&mut self.buffer);
                    return Some(End::Incomplete(partial, Some(count)));
                }
                (self.buffer.len() >= count).then(|| self.take(count))
            }
            Read::Until(separators) => self.until(separators, offset),
            Read::Line => Some(match self.until(&[b"\n"], offset)? {
                End::Incomplete(partial, _) => End::Bytes(partial),
                End::Overrun(consumed) => {
                    if self.buffer.get(consumed) == Some(&b'\n') {
                        self.take(consumed + 1);
                    } else {
                        self.buffer.clear();
                    }
                    End::Value
                }
                other => other,
            }),
        }
    }

    fn until(&mut self, separators: &[&[u8]], offset: &mut usize) -> Option<End> {
        let lengths = || separators.iter().map(|separator| separator.len());
        let (Some(shortest), Some(longest)) = (lengths().min(), lengths().max()) else {
            return Some(End::Value);
        };
        if shortest == 0 {
            return Some(End::Value);
        }
        let length = self.buffer.len();
        if length >= *offset + shortest {
            // The first place where one ends, and of those that end there the shortest.
            let found = (1..=length).find_map(|end| {
                let ends = separators
                    .iter()
                    .filter(|it| self.buffer[..end].ends_with(it));
                Some((end, ends.map(|it| it.len()).min()?))
            });
            if let Some((end, size)) = found {
                let start = end - size;
                if start > self.limit {
                    return Some(End::Overrun(start));
                }
                return Some(self.take(end));
            }
            *offset = (length + 1).saturating_sub(longest);
            if *offset > self.limit {
                return Some(End::Overrun(*offset));
            }
        }
        self.eof
            .then(|| End::Incomplete(std::mem::take(&mut self.buffer), None))
    }
}

async fn perform(reader: StreamReader, read: Read) -> Result<Vec<u8>> {
    match read {
        Read::Some(count) => reader.read(count).await,
        Read::Exactly(count) => reader.readexactly(count).await,
        Read::Line => reader.readline().await,
        Read::Until(separators) => reader.readuntil_any(&separators).await,
    }
}

fn end(result: Result<Vec<u8>, Exception>) -> End {
    let error = match result {
        Ok(bytes) => return End::Bytes(bytes),
        Err(error) => error,
    };
    if let Some(error) = error.downcast_ref::<IncompleteReadError>() {
        return End::Incomplete(error.partial().to_vec(), error.expected());
    }
    if let Some(error) = error.downcast_ref::<LimitOverrunError>() {
        return End::Overrun(error.consumed());
    }
    assert!(error.is::<ValueError>(), "{error:?}");
    End::Value
}

fn any_read(numbers: &mut Numbers) -> Read {
    const SEPARATORS: [&[u8]; 8] = [b"\n", b"a", b"ab", b"ba", b"\na", b"aab", b"b\nb", b"abab"];
    match numbers.below(8) {
        0 | 1 => Read::Some(numbers.below(8).cast_signed()),
        2 | 3 => Read::Exactly(numbers.below(9).cast_signed() - 1),
        4 | 5 => Read::Line,
        _ => Read::Until(
            (0..numbers.below(4))
                .map(|_| SEPARATORS[numbers.below(8)])
                .collect(),
        ),
    }
}

/// Runs one script; how many reads have ended, waited and been given up.
fn script(numbers: &mut Numbers) -> Result<[usize; 3]> {
    type Reading = Pin<Box<dyn Future<Output = Result<Vec<u8>>>>>;
    let limit = 1 + numbers.below(8);
    let reader = StreamReader::with_limit(limit)?;
    let mut model = Model {
        limit,
        ..Model::default()
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut waiting: Option<(Reading, Read, usize)> = None;
    let mut counts = [0; 3];
    for _ in 0..12 {
        match numbers.below(16) {
            0 if !model.eof => {
                reader.feed_eof();
                model.eof = true;
            }
            1..7 if !model.eof => {
                let fed: Vec<u8> = (0..numbers.below(7))
                    .map(|_| b"ab\n"[numbers.below(3)])
                    .collect();
                reader.feed_data(&fed)?;
                if fed.is_empty() {
                    // Nobody is woken by nothing.
                    continue;
                }
                model.buffer.extend(fed);
            }
            7 => {
                // Given up: nothing is lost.
                counts[2] += usize::from(waiting.take().is_some());
            }
            _ if waiting.is_none() => {
                let read = any_read(numbers);
                let reading = Box::pin(perform(reader.clone(), read.clone()));
                waiting = Some((reading, read, 0));
            }
            // It waits on, and nothing has come.
            _ => {
                counts[1] += 1;
                continue;
            }
        }
        if let Some((mut reading, read, mut offset)) = waiting.take() {
            let expected = model.look(&read, &mut offset);
            match (reading.as_mut().poll(&mut context), expected) {
                (Poll::Ready(result), Some(expected)) => {
                    assert_eq!(end(result), expected, "{read:?} of {model:?}");
                    counts[0] += 1;
                }
                (Poll::Pending, None) => waiting = Some((reading, read, offset)),
                (polled, expected) => {
                    panic!(
                        "{read:?} of {model:?}: {:?}, not {expected:?}",
                        polled.map(end)
                    )
                }
            }
        }
        assert_eq!(reader.at_eof(), model.eof && model.buffer.is_empty());
    }
    drop(waiting);
    let mut left = std::mem::take(&mut model.buffer);
    reader.feed_eof();
    let mut reading: Reading = Box::pin(perform(reader, Read::Some(1 << 20)));
    let Poll::Ready(rest) = reading.as_mut().poll(&mut context) else {
        panic!("the end is there");
    };
    assert_eq!(rest?, std::mem::take(&mut left));
    Ok(counts)
}

/// A million scripts in full.
#[test]
fn a_reader_does_what_its_model_does() -> Result<()> {
    let mut numbers = Numbers::new(1);
    let mut counts = [0; 3];
    for _ in 0..scaled(10_000) {
        for (all, one) in counts.iter_mut().zip(script(&mut numbers)?) {
            *all += one;
        }
    }
    let [ended, waited, given_up] = counts;
    assert!(
        ended > scaled(10_000) && waited > scaled(1_000) && given_up > scaled(1_000),
        "{counts:?}"
    );
    Ok(())
}
