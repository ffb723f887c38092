//! Files: what is read and written, by which mode, and what is left when it is cancelled.

use std::io::{self, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use asyncio_core::{Exception, Result, ValueError, create_task, sleep, to_thread};
use asyncio_net::files::tempfile::{named_temporary_file, temporary_directory, temporary_file};
use asyncio_net::files::{Interrupted, open, open_binary, os};

use crate::support::{Numbers, error_of, everywhere, kind, pattern, scaled};

#[test]
fn modes_are_python_s() -> Result<()> {
    everywhere(|| async {
        let folder = temporary_directory().await?;
        let path = folder.name().join("a.txt");
        assert_eq!(kind(open(&path, "r").await), io::ErrorKind::NotFound);
        let file = open(&path, "w").await?;
        assert_eq!(file.write("eins\nzwei\n").await?, 10);
        assert_eq!(kind(file.read(-1).await), io::ErrorKind::Unsupported);
        file.close().await?;
        assert!(file.buffer().closed());
        assert!(file.write("x").await.is_err());
        assert_eq!(kind(open(&path, "x").await), io::ErrorKind::AlreadyExists);

        let file = open(&path, "a+").await?;
        file.write("drei").await?;
        file.seek(0).await?;
        assert_eq!(file.readlines().await?, ["eins\n", "zwei\n", "drei"]);
        let file = open(&path, "r+").await?;
        assert_eq!(file.readline().await?, "eins\n");
        file.write("ZWEI").await?;
        assert_eq!(file.tell().await?, 9);
        assert_eq!(file.read(1).await?, "\n");
        assert_eq!(os::read_text(&path).await?, "eins\nZWEI\ndrei");
        let file = open(&path, "w+").await?;
        assert_eq!(file.read(-1).await?, "");
        for wrong in ["", "rw", "r++", "+", "q", "rb", "rbt"] {
            error_of::<ValueError>(open(&path, wrong).await);
        }
        error_of::<ValueError>(open_binary(&path, "r").await);
        error_of::<ValueError>(open(&path, "r").encoding("utf-16").await);
        let read = open_binary(&path, "rb").await?;
        assert_eq!(kind(read.write("x").await), io::ErrorKind::Unsupported);
        assert!(read.readable() && !read.writable());
        Ok(())
    })
}

#[test]
fn text_is_characters() -> Result<()> {
    everywhere(|| async {
        let folder = temporary_directory().await?;
        let path = folder.name().join("t");
        os::write_bytes(&path, "aé€😀\r\nb\rc\r\r\n\nd".as_bytes()).await?;
        let file = open(&path, "r").await?;
        assert_eq!(file.read(3).await?, "aé€");
        assert_eq!(file.tell().await?, 6);
        assert_eq!(file.read(3).await?, "😀\nb");
        assert_eq!(file.read(0).await?, "");
        assert_eq!(file.readlines().await?, ["\n", "c\n", "\n", "\n", "d"]);
        file.seek(0).await?;
        let mut lines = Vec::new();
        while let Some(line) = file.next_line().await? {
            lines.push(line);
        }
        assert_eq!(lines, ["aé€😀\n", "b\n", "c\n", "\n", "\n", "d"]);
        let file = open(&path, "r").translate_newlines(false).await?;
        assert_eq!(file.readline().await?, "aé€😀\r\n");
        assert_eq!(file.readline().await?, "b\rc\r\r\n");

        os::write_bytes(&path, b"ok\xff").await?;
        let file = open(&path, "r").await?;
        let error = error_of::<ValueError>(file.read(-1).await);
        assert_eq!(error.to_string(), "byte 2 is no text in UTF-8");
        assert_eq!(file.buffer().read(-1).await?, b"ok\xff", "nothing is lost");
        let file = open(&path, "w").encoding("iso-8859-15").await?;
        file.writelines(["5 ", "€"]).await?;
        error_of::<ValueError>(file.write("😀").await);
        assert_eq!(os::read_bytes(&path).await?, b"5 \xa4");
        let file = open(&path, "r").encoding("ISO-8859-15").await?;
        assert_eq!(
            (file.read(1).await?, file.read(9).await?),
            ("5".into(), " €".into())
        );
        Ok(())
    })
}

/// Random calls, each compared with the same on bytes in memory.
#[test]
fn random_calls_agree_with_a_model() -> Result<()> {
    everywhere(|| async {
        for seed in 0..scaled(5) as u64 {
            let mut numbers = Numbers::new(seed);
            let file = temporary_file().await?;
            let mut model = io::Cursor::new(Vec::new());
            for step in 0..200 {
                use io::{BufRead, Read, Seek, Write};
                let shown = format!("seed {seed}, step {step}");
                match numbers.below(7) {
                    0 | 1 => {
                        let mut data = pattern(numbers.below(70_000));
                        for at in (0..data.len()).step_by(61) {
                            data[at] = b'\n';
                        }
                        model.write_all(&data)?;
                        assert_eq!(file.write(data.clone()).await?, data.len(), "{shown}");
                    }
                    2 => {
                        let count = numbers.below(100_000);
                        let mut expected = Vec::new();
                        Read::by_ref(&mut model)
                            .take(count as u64)
                            .read_to_end(&mut expected)?;
                        assert_eq!(file.read(count.cast_signed()).await?, expected, "{shown}");
                    }
                    3 => {
                        let mut expected = Vec::new();
                        model.read_until(b'\n', &mut expected)?;
                        assert_eq!(file.readline().await?, expected, "{shown}");
                    }
                    4 => {
                        let length = model.get_ref().len();
                        let to = numbers.below(length + 10) as u64;
                        let place = match numbers.below(2) {
                            0 => SeekFrom::Start(to),
                            _ => SeekFrom::End(-(to.min(length as u64).cast_signed())),
                        };
                        let expected = model.seek(place)?;
                        assert_eq!(file.seek(place).await?, expected, "{shown}");
                    }
                    5 => assert_eq!(file.tell().await?, model.position(), "{shown}"),
                    _ => {
                        let length = numbers.below(model.get_ref().len() + 1);
                        model.get_mut().truncate(length);
                        file.truncate(length as u64).await?;
                    }
                }
            }
            file.seek(0).await?;
            assert_eq!(file.read(-1).await?, *model.get_ref());
        }
        Ok(())
    })
}

/// Reads that are cancelled anywhere lose nothing.
#[cfg(unix)]
#[test]
fn cancelled_reads_lose_nothing() -> Result<()> {
    everywhere(|| async {
        let folder = temporary_directory().await?;
        let path: PathBuf = folder.name().join("pipe");
        let name = path.clone();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU)?;
        let data = pattern(scaled(20_000));
        let written = data.clone();
        // A pipe, whose reads take their time.
        let writer = create_task(async move {
            let pipe = open_binary(name, "wb").await?;
            let mut numbers = Numbers::new(7);
            let mut rest = &written[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + numbers.below(300)).min(rest.len()));
                pipe.write(now).await?;
                rest = later;
                sleep(numbers.delay()).await?;
            }
            pipe.close().await
        });
        let pipe = open_binary(&path, "rb").await?;
        let mut numbers = Numbers::new(8);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let at_end = Arc::new(AtomicBool::new(false));
        while !at_end.load(Ordering::SeqCst) {
            let (file, count) = (pipe.clone(), 1 + numbers.below(200));
            let (seen, at_end) = (Arc::clone(&seen), Arc::clone(&at_end));
            // Taken here and not from the task: on many threads it may be cancelled after this has ended, and
            // then its value is lost.
            let reading = create_task(async move {
                let piece = file.read(count.cast_signed()).await?;
                at_end.store(piece.is_empty(), Ordering::SeqCst);
                seen.lock().expect("nobody panics").extend(piece);
                Ok(())
            });
            sleep(numbers.delay()).await?;
            // One in four is let be, so that it goes on on a slow machine too.
            if numbers.below(4) > 0 {
                reading.cancel();
            }
            let ended = reading.await;
            assert!(ended.is_ok() || ended.is_err_and(|error| error.is_cancelled()));
        }
        assert!(*seen.lock().expect("nobody panics") == data);
        writer.await
    })
}

/// A write that is cancelled has not begun, or is done, and says which.
#[test]
fn cancelled_writes_say_what_they_did() -> Result<()> {
    everywhere(|| async {
        let file = temporary_file().await?;
        let mut numbers = Numbers::new(3);
        let (mut expected, mut done, mut not) = (Vec::new(), 0, 0);
        for round in 0..scaled(300) {
            let data = vec![b'a' + (round % 26) as u8; 1 + numbers.below(200_000)];
            let (writing, sent) = (file.clone(), data.clone());
            let whole = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&whole);
            let task = create_task(async move {
                let count = writing.write(sent).await?;
                // As above: the task's own value may be lost.
                told.store(true, Ordering::SeqCst);
                Ok(count)
            });
            sleep([0.0, 0.0, 0.000_1][numbers.below(3)]).await?;
            task.cancel();
            match task.await {
                ended if whole.load(Ordering::SeqCst) => {
                    let is_late = |error: &Exception| error.is_cancelled();
                    let count = ended.or_else(|error| {
                        if is_late(&error) {
                            Ok(data.len())
                        } else {
                            Err(error)
                        }
                    })?;
                    assert_eq!(count, data.len());
                    assert_eq!(file.interrupted().await?, None);
                    expected.extend(data);
                }
                Ok(_) => panic!("it was not whole"),
                Err(error) => {
                    assert!(error.is_cancelled(), "{error:?}");
                    match file.interrupted().await? {
                        Some(Interrupted::Wrote(count)) => {
                            assert_eq!(count, data.len());
                            expected.extend(data);
                            done += 1;
                        }
                        other => {
                            assert_eq!(other, None);
                            not += 1;
                        }
                    }
                }
            }
            assert_eq!(file.tell().await?, expected.len() as u64);
            if expected.len() > 4 << 20 {
                file.truncate(0).await?;
                file.seek(0).await?;
                expected.clear();
            }
        }
        crate::support::note(&format!("{done} done, {not} not begun"));
        file.seek(0).await?;
        assert_eq!(file.read(-1).await?, expected);
        Ok(())
    })
}

#[test]
fn names_are_handled() -> Result<()> {
    everywhere(|| async {
        let folder = temporary_directory().await?;
        let at = |name: &str| folder.name().join(name);
        os::makedirs(at("a/b")).await?;
        os::write_bytes(at("a/x"), "12345").await?;
        assert_eq!(os::getsize(at("a/x")).await?, 5);
        os::rename(at("a/x"), at("a/y")).await?;
        assert!(os::isfile(at("a/y")).await? && os::isdir(at("a")).await?);
        assert!(!os::exists(at("a/x")).await?);
        let mut names = os::listdir(at("a")).await?;
        names.sort();
        assert_eq!(names, ["b", "y"]);
        os::link(at("a/y"), at("z")).await?;
        assert_eq!(os::stat(at("z")).await?.len(), 5);
        os::remove(at("z")).await?;
        os::rmdir(at("a/b")).await?;
        assert_eq!(kind(os::rmdir(at("a/b")).await), io::ErrorKind::NotFound);
        let named = named_temporary_file().await?;
        let path = named.name().to_owned();
        named.write("x").await?;
        assert!(os::exists(&path).await?);
        drop(named);
        assert!(!os::exists(&path).await?);
        let path = folder.name().to_owned();
        folder.cleanup().await?;
        assert!(!os::exists(&path).await?);
        to_thread(|| Ok(())).await
    })
}
