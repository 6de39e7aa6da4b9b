//! Where lines go: a descriptor of our own, with no lock that others wait for.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;

/// A file, a pipe or a terminal.
pub struct Destination {
    file: File,
    /// What is opened anew when logs are rotated; a pipe or a terminal has none.
    path: Option<PathBuf>,
    /// The last line was written in part.
    torn: bool,
}

impl Destination {
    /// Standard error. Where it is a file, that file is found again by the name that it has now.
    pub fn stderr() -> io::Result<Self> {
        Self::inherited(io::stderr())
    }

    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::inherited(io::stdout())
    }

    fn inherited(stream: impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let path = path_of(&file);
        Ok(Self { file, path, torn: false })
    }

    /// The file at `path`, made where there is none.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { file: open(path)?, path: Some(path.to_owned()), torn: false })
    }

    pub fn is_terminal(&self) -> bool {
        self.file.is_terminal()
    }

    /// Writes one line; returns whether all of it has gone out.
    pub(super) fn write(&mut self, line: &[u8]) -> bool {
        // So that the rest of a line that the disk had no room for does not run into this one.
        if self.torn && self.write_part(b"\n").is_err() {
            return false;
        }
        self.torn = false;
        let mut rest = line;
        while !rest.is_empty() {
            match self.write_part(rest) {
                Ok(0) | Err(_) => {
                    self.torn = rest.len() < line.len();
                    return false;
                }
                Ok(count) => rest = &rest[count..],
            }
        }
        true
    }

    fn write_part(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process that shares the pipe has made it so; this thread can wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)?;
                }
                written => return written,
            }
        }
    }

    pub(super) fn reopen(&mut self) {
        let Some(path) = &self.path else { return };
        match open(path) {
            Ok(file) => (self.file, self.torn) = (file, false),
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "{path} cannot be opened anew ({error}); log lines go on to the old file");
            }
        }
    }
}

/// Without blocking: a named pipe without a reader is refused instead of waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)
}

/// The name of a regular file, as long as it has one.
fn path_of(file: &File) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    if !file.metadata().ok()?.file_type().is_file() {
        return None;
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_log_file_is_reopened() {
        let folder = tempfile::tempdir().expect("a directory");
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut destination = Destination::at(&path).expect("opened");
        assert!(destination.write(b"one\n"));
        std::fs::rename(&path, &old).expect("renamed");
        assert!(destination.write(b"two\n"));
        destination.reopen();
        assert!(destination.write(b"three\n"));
        assert_eq!(std::fs::read_to_string(&old).expect("text"), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "three\n");
        let inherited = path_of(&File::open(&path).expect("opened"));
        assert_eq!(inherited, Some(path.canonicalize().expect("a path")));
    }

    #[test]
    fn full_device_loses_lines_and_is_retried() {
        let mut full = Destination::at(Path::new("/dev/full")).expect("opened");
        assert!(!full.write(b"one\n") && !full.write(b"two\n"));
    }
}
