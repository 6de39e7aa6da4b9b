//! A password or an API key in a file of its own, as secrets are mounted into containers.

use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, Secret, Source};
use crate::base::named_file;

/// No secret is longer; a log or a device that was named by mistake is.
const BYTES_MAX: u64 = 16 << 10;

/// A file with a credential that has the admin role.
#[derive(Clone, Debug)]
pub struct SecretFile {
    /// Who named it, for messages.
    pub source: Source,
    pub is_password: bool,
    pub path: PathBuf,
}

impl SecretFile {
    pub(super) fn read(&self) -> Result<Secret, ConfigError> {
        read_once(&self.path).map_err(|reason| ConfigError::SecretFile {
            source: self.source.clone(),
            file: self.path.display().to_string(),
            reason,
        })
    }
}

/// Reads the lines of a file that are not empty.
pub fn read_lines(path: &Path) -> Result<Vec<Secret>, String> {
    let text = text(named_file::read(path, BYTES_MAX))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(Secret::new).collect())
}

/// Reads the one line of a file. The reason of a refusal says nothing of what the file holds.
pub fn read(path: &Path) -> Result<Secret, String> {
    one_line(&text(named_file::read(path, BYTES_MAX))?)
}

/// The same for a file that is read a single time, at a start, and that may be a pipe.
pub fn read_once(path: &Path) -> Result<Secret, String> {
    one_line(&text(named_file::read_once(path, BYTES_MAX))?)
}

fn one_line(text: &str) -> Result<Secret, String> {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        "" => Err("it is empty".to_owned()),
        line if line.contains(['\n', '\r', '\0']) => Err("it holds more than one line".to_owned()),
        line => Ok(Secret::new(line)),
    }
}

fn text(read: io::Result<Vec<u8>>) -> Result<String, String> {
    String::from_utf8(read.map_err(|error| error.to_string())?).map_err(|_| "it is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_file_must_hold_one_line() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("key");
        let read = |text: &[u8]| {
            std::fs::write(&path, text).expect("written");
            read(&path).map(|secret| secret.expose().to_owned())
        };
        for text in ["key", "key\n", "key\r\n"] {
            assert_eq!(read(text.as_bytes()).expect("a secret"), "key");
        }
        assert_eq!(read(b" a b \n").expect("spaces are part of it"), " a b ");
        for (bytes, reason) in
            [(b"".as_slice(), "empty"), (b"\n", "empty"), (b"a\nb\n", "more than one line"), (b"\xff", "UTF-8")]
        {
            let refused = read(bytes).expect_err("refused");
            assert!(refused.contains(reason), "{refused}");
        }
        assert!(super::read(Path::new("/dev/zero")).expect_err("refused").contains("not a regular file"));
        assert!(super::read_once(Path::new("/dev/zero")).expect_err("refused").contains("16384"));
        assert!(super::read(folder.path()).is_err() && super::read(&folder.path().join("none")).is_err());
    }
}
