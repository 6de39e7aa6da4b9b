//! Reads a file that an operator named, which may be anything: whole, up to a length, and without waiting for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::clock::Stopwatch;

/// Of a PEM file. The largest bundles of authorities have a tenth of it.
pub const PEM_BYTES_MAX: u64 = 4 << 20;
/// How long the writer of a pipe may take.
const PIPE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is in a regular file. Anything else is refused: a named pipe may have no writer, a device no end.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_regular(open_regular(path)?, bytes_max)
}

/// Such a file, to be read from its beginning.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// The same for what is read a single time, at a start: it may also come through a pipe, as of a shell's `<(command)`.
pub fn read_once(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read_within(path, bytes_max, PIPE_TIMEOUT)
}

fn read_regular(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    within(bytes, bytes_max)
}

fn read_within(path: &Path, bytes_max: u64, timeout: Duration) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    if file.metadata()?.is_file() {
        return read_regular(file, bytes_max);
    }
    let (begun, mut bytes, mut part) = (Stopwatch::start(), Vec::new(), [0; 4096]);
    loop {
        // Before each read: a pipe that has had no writer yet looks like one at its end.
        wait(&file, timeout.saturating_sub(begun.age()), timeout)?;
        match file.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        bytes = within(bytes, bytes_max)?;
    }
}

/// Without blocking: to open a named pipe waits for its writer otherwise.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

fn within(bytes: Vec<u8>, bytes_max: u64) -> io::Result<Vec<u8>> {
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("it is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

fn wait(file: &File, remaining: Duration, timeout: Duration) -> io::Result<()> {
    let late = || io::Error::new(ErrorKind::TimedOut, format!("its writer has not finished within {timeout:?}"));
    let until = Timespec::try_from(remaining).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&until)) {
        _ if remaining.is_zero() => Err(late()),
        Ok(0) => Err(late()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A named pipe without a writer, for tests.
#[cfg(test)]
pub fn make_pipe(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const SHORT: Duration = Duration::from_millis(100);

    fn pipe(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("pipe");
        make_pipe(&path);
        path
    }

    #[test]
    fn pipe_device_directory_and_huge_file_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("a directory");
        let refused = |path: &Path| read(path, 1000).expect_err("refused").to_string();
        for path in [&*pipe(&folder), folder.path(), Path::new("/dev/zero"), Path::new("/dev/null")] {
            assert_eq!(refused(path), "it is not a regular file", "{}", path.display());
        }
        let huge = folder.path().join("huge");
        File::create(&huge).and_then(|file| file.set_len(1 << 40)).expect("made");
        assert_eq!(refused(&huge), "it is longer than 1000 bytes");
        assert_eq!(read_once(&huge, 1000).expect_err("refused").kind(), ErrorKind::FileTooLarge);
        assert!(refused(&folder.path().join("none")).contains("No such file"));
        std::fs::write(&huge, [7; 1000]).expect("written");
        assert_eq!(read(&huge, 1000).expect("as long as may be"), [7; 1000]);
    }

    #[test]
    fn pipe_is_read_once_to_its_end_and_only_so_long() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = pipe(&folder);
        let late = |path: &Path| read_within(path, 9000, SHORT).expect_err("refused").to_string();
        assert_eq!(late(&path), "its writer has not finished within 100ms", "nobody writes");
        let text = [b"text ".as_slice(), &[b'x'; 8000]].concat();
        let (writing, written) = (path.clone(), text.clone());
        let writer = std::thread::spawn(move || std::fs::write(writing, written));
        assert_eq!(read_once(&path, 9000).expect("read"), text);
        writer.join().expect("no panic").expect("written");
        let _silent = OpenOptions::new().read(true).write(true).open(&path).expect("opened");
        assert_eq!(late(&path), "its writer has not finished within 100ms", "it writes nothing");
    }

    #[test]
    fn device_is_read_once_and_never_without_end() {
        assert_eq!(read_once(Path::new("/dev/null"), 10).expect("nothing"), b"");
        assert_eq!(read_once(Path::new("/dev/zero"), 10).expect_err("refused").kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_once(Path::new("/"), 10).expect_err("refused").kind(), ErrorKind::IsADirectory);
    }
}
