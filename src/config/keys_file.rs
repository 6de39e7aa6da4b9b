//! The file of `access.keys_file`: API keys that come and go while the server runs.

use std::io::{self, ErrorKind};
use std::path::Path;

use serde::Deserialize;

use super::access::{CertificateConfig, KeyConfig};
use super::toml_errors;
use crate::base::{clock, end_date, named_file};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysFile {
    /// Must be there, so that a file that was cut to nothing does not end every key.
    pub keys: Vec<KeyConfig>,
    #[serde(default)]
    pub certificates: Vec<CertificateConfig>,
}

impl KeysFile {
    /// The reason of a refusal says nothing of what the file holds.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())?;
        let file: Self = toml_errors::parse(text).map_err(|reason| match reason.contains("missing field `keys`") {
            true => "it holds no key; to end all keys, write `keys = []`".to_owned(),
            false => reason,
        })?;
        CertificateConfig::check(&file.certificates).map(|()| file)
    }

    /// The same for a server whose clients show certificates of these authorities.
    pub fn parse_for(text: &[u8], client_ca: Option<&Path>) -> Result<Self, String> {
        let file = Self::parse(text)?;
        CertificateConfig::check_authorities(&file.certificates, "[[certificates]]", client_ca).map(|()| file)
    }
}

/// Seconds since 1970 by the wall clock, which judges the ends of keys.
pub fn now() -> u64 {
    clock::unix_time().as_secs()
}

/// Such a moment as the file has it.
pub fn written(moment: u64) -> String {
    clock::rfc3339(moment)
}

/// An end that is still to come: after a time such as `90d`, or at a date.
pub fn coming_end(text: &str) -> Result<u64, String> {
    let expected = "expected a duration such as 90d, a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z";
    let now = now();
    let after = humantime::parse_duration(text).ok().and_then(|span| now.checked_add(span.as_secs()));
    let end = after.or_else(|| end_date::parse(text).ok()).ok_or(expected)?;
    // Beyond the year 9999 no date can be written.
    match (end > now, clock::parse_rfc3339(&written(end)) == Some(end)) {
        (true, true) => Ok(end),
        (false, _) => Err(format!("{} has passed", written(end))),
        (true, false) => Err("it is beyond the year 9999; leave it out for a key without an end".to_owned()),
    }
}

/// What is in the file, up to so many bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    named_file::read(path, bytes_max).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => format!("{error} (access.keys_file_bytes_max)"),
        _ => error.to_string(),
    })
}

/// The same for a program that changes it. The server has a limit of its own.
pub fn read_to_change(path: &Path) -> io::Result<Vec<u8>> {
    const BYTES_MAX: u64 = 1 << 30;
    named_file::read(path, BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn refused(text: &str) -> String {
        KeysFile::parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn key_may_have_an_end_and_words_for_people() {
        let entry = format!("[[keys]]\nname = \"ci\"\nsha256 = \"{DIGEST}\"\nrole = \"read-only\"\n");
        let text = format!("{entry}expires = 2027-01-31\ncreated = \"2026-01-31T00:00:00Z\"\ncomment = \"of Jo\"\n");
        let [key] = &KeysFile::parse(text.as_bytes()).expect("a file").keys[..] else { panic!("one key") };
        assert_eq!((key.expires, key.role, &*key.name), (Some(1_801_353_600), Role::ReadOnly, "ci"));
        for (more, why) in [
            ("expires = \"soon\"", "expected a date such as 2027-01-31"),
            ("expires = 90", "expected a date"),
            ("key = \"S3CRET\"", "unknown field `key`"),
        ] {
            let told = refused(&format!("{entry}{more}\n"));
            assert!(told.contains(why) && !told.contains("S3CRET"), "{told}");
        }
    }

    #[test]
    fn cut_file_is_refused_and_an_emptied_list_is_not() {
        assert!(refused("").contains("`keys = []`") && refused("# keys\n").contains("`keys = []`"));
        assert!(refused("[[keys]]\nname = \"ci\"\n").contains("missing field"));
        assert!(refused("[[keys]]\nname = \"ci").contains("not TOML"));
        assert!(KeysFile::parse(b"\xff").is_err());
        assert!(KeysFile::parse(b"keys = []\n").expect("none").keys.is_empty());
    }

    #[test]
    fn long_file_and_device_are_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, [b'#'; 1025]).expect("written");
        assert!(read(file.path(), 1 << 10).expect_err("refused").contains("1024 bytes (access.keys_file_bytes_max)"));
        assert_eq!(read(Path::new("/dev/zero"), 1 << 10), Err("it is not a regular file".to_owned()));
    }
}
