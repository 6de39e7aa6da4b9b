//! The file: appended to by one process, and rotated by its size, by this process or by another program.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::base::{LogRateLimit, clock};

/// Only the user that the server runs as reads it: it tells who works here, and from where.
const MODE: u32 = 0o600;

#[derive(Clone, Debug)]
pub struct FileOptions {
    pub path: PathBuf,
    /// A file that would become longer is rotated first.
    pub bytes_max: u64,
    /// Rotated files that are kept.
    pub files_max: u32,
    /// Whether a line is on the disk before it counts as written.
    pub fsync: bool,
}

/// Why the file cannot be used at the start.
#[derive(Debug, thiserror::Error)]
#[error("audit.file: {path} cannot be used: {reason}", path = .path.display())]
pub struct OpenError {
    pub path: PathBuf,
    pub reason: io::Error,
}

pub struct AuditFile {
    options: FileOptions,
    file: File,
    /// A part of a line could not be taken back.
    torn: bool,
    complaints: LogRateLimit,
}

impl AuditFile {
    /// Opens the file, made where there is none. Its directory must be there.
    pub fn open(options: FileOptions) -> Result<AuditFile, OpenError> {
        match open(&options.path) {
            Ok(file) => Ok(AuditFile { options, file, torn: false, complaints: LogRateLimit::new(1) }),
            Err(reason) => Err(OpenError { path: options.path, reason }),
        }
    }

    /// Writes one line, which must end with a line break: all of it or nothing.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        self.follow_path()?;
        let length = self.file.metadata()?.len();
        if length > 0 && length + line.len() as u64 > self.options.bytes_max {
            self.rotate()?;
        }
        if self.torn {
            self.file.write_all(b"\n")?;
            self.torn = false;
        }
        let length = self.file.metadata()?.len();
        let written = self.file.write_all(line).and_then(|()| self.flush());
        if written.is_err() {
            // A part of it would run into the next line. Nobody else writes: the file is locked.
            self.torn = self.file.set_len(length).is_err();
        }
        written
    }

    /// Another program may have renamed or removed the file since the last line.
    fn follow_path(&mut self) -> io::Result<()> {
        let mine = self.file.metadata()?;
        match fs::metadata(&self.options.path) {
            Ok(there) if (there.dev(), there.ino()) == (mine.dev(), mine.ino()) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.reopen(),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.torn) = (open(&self.options.path)?, false);
        if self.options.fsync { sync_directory_of(&self.options.path) } else { Ok(()) }
    }

    /// Where the directory allows no new names, the file grows on.
    fn rotate(&mut self) -> io::Result<()> {
        if let Err(error) = self.shift()
            && self.complaints.admit(clock::process_age()).is_some()
        {
            tracing::warn!(%error, "the audit file cannot be rotated ({error}); lines go on to the old one");
        }
        self.follow_path()
    }

    /// `audit.log` becomes `audit.log.1`, that `audit.log.2`, and so on; the oldest is overwritten.
    fn shift(&self) -> io::Result<()> {
        let last = self.options.files_max;
        let free = (1..last).find(|number| !self.rotated(*number).exists()).unwrap_or(last);
        for number in (1..free).rev() {
            fs::rename(self.rotated(number), self.rotated(number + 1))?;
        }
        fs::rename(&self.options.path, self.rotated(1))
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.options.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn flush(&self) -> io::Result<()> {
        if self.options.fsync { self.file.sync_data() } else { Ok(()) }
    }
}

/// Two processes in one file would rotate it under each other, so it is locked until it is closed.
fn open(path: &Path) -> io::Result<File> {
    let irregular = || io::Error::other("it is not a regular file");
    // Without blocking: a named pipe without a reader is refused instead of waited for.
    let flags = OFlags::NONBLOCK.bits() as i32;
    let opened = OpenOptions::new().append(true).create(true).mode(MODE).custom_flags(flags).open(path);
    let has_no_reader = |error: &io::Error| error.raw_os_error() == Some(Errno::NXIO.raw_os_error());
    let file = opened.map_err(|error| if has_no_reader(&error) { irregular() } else { error })?;
    if !file.metadata()?.is_file() {
        return Err(irregular());
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another process writes to it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use std::os::unix::fs::PermissionsExt;

    fn opened(folder: &tempfile::TempDir, bytes_max: u64) -> AuditFile {
        let path = folder.path().join("audit.log");
        AuditFile::open(FileOptions { path, bytes_max, files_max: 2, fsync: true }).expect("opened")
    }

    fn read(folder: &tempfile::TempDir, name: &str) -> Option<String> {
        fs::read_to_string(folder.path().join(name)).ok()
    }

    #[test]
    fn file_beyond_its_size_is_rotated_and_oldest_is_given_up() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut file = opened(&folder, 8);
        for line in ["one\n", "two\n", "three\n", "four\n", "much longer than eight\n", "five\n"] {
            file.append(line.as_bytes()).expect("written");
        }
        let names = ["audit.log", "audit.log.1", "audit.log.2", "audit.log.3"];
        let texts = names.map(|name| read(&folder, name));
        let expected = [Some("five\n"), Some("much longer than eight\n"), Some("four\n"), None];
        assert_eq!(texts, expected.map(|text| text.map(str::to_owned)));
        let mode = fs::metadata(folder.path().join("audit.log")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn file_that_was_renamed_or_emptied_by_others_is_followed() {
        let folder = tempfile::tempdir().expect("a directory");
        let mut file = opened(&folder, 1000);
        file.append(b"one\n").expect("written");
        fs::rename(folder.path().join("audit.log"), folder.path().join("old")).expect("renamed");
        file.append(b"two\n").expect("written");
        assert_eq!((read(&folder, "old"), read(&folder, "audit.log")), (Some("one\n".into()), Some("two\n".into())));
        File::create(folder.path().join("audit.log")).expect("emptied");
        file.append(b"three\n").expect("written");
        assert_eq!(read(&folder, "audit.log").as_deref(), Some("three\n"));
        fs::remove_dir_all(folder.path()).expect("removed");
        assert!(file.append(b"four\n").is_err(), "there is no place for it");
        fs::create_dir(folder.path()).expect("made again");
        file.append(b"five\n").expect("written");
        assert_eq!(read(&folder, "audit.log").as_deref(), Some("five\n"));
    }

    #[test]
    fn unusable_file_is_refused_at_the_start() {
        let folder = tempfile::tempdir().expect("a directory");
        let first = opened(&folder, 1000);
        let open = |path: PathBuf| {
            AuditFile::open(FileOptions { path, bytes_max: 1, files_max: 1, fsync: true }).map(drop).unwrap_err()
        };
        let problem = |path: &str| open(folder.path().join(path)).to_string();
        assert!(problem("audit.log").contains("another process writes to it"));
        assert!(problem("missing/audit.log").contains("No such file or directory"));
        assert!(problem(".").contains("audit.file: "));
        mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        for irregular in [folder.path().join("pipe"), "/dev/full".into()] {
            assert!(open(irregular).to_string().contains("it is not a regular file"));
        }
        drop(first);
        opened(&folder, 1000);
    }
}
