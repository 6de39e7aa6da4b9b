//! Changes the file of API keys: one writer at a time, and whole or not at all. Comments and all else in it stay as they are.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::access::check_name;
use crate::cli::Failure;
use crate::config::access::KeyConfig;
use crate::config::keys_file::{KeysFile, read_to_change};

/// Of a new file: latchd's group reads it, as it reads its configuration.
const NEW_MODE: u32 = 0o640;
const KEYS: &str = "keys";
const NO_KEYS: &str = "keys = []\n";

/// What is written of a new key.
pub struct Entry<'a> {
    pub name: &'a str,
    pub sha256: &'a str,
    pub role: &'static str,
    pub prefixes: &'a [String],
    pub expires: Option<String>,
    pub created: &'a str,
    pub comment: &'a str,
}

/// A file that is being changed. Others wait until it is dropped.
pub struct Editing {
    /// Behind links, so that a link stays one.
    path: PathBuf,
    document: DocumentMut,
    /// Of the file as it was.
    before: Option<Metadata>,
    /// The directory, which is locked: the file itself is replaced.
    _turn: File,
}

/// The keys of the file.
pub fn keys(path: &Path) -> Result<Vec<KeyConfig>, Failure> {
    let text = read_to_change(path).map_err(|error| unreadable(path, error))?;
    parsed(path, &text).map(|file| file.keys)
}

fn unreadable(path: &Path, error: impl std::fmt::Display) -> Failure {
    format!("{} cannot be read: {error}; name the file with --file", path.display()).into()
}

fn parsed(path: &Path, text: &[u8]) -> Result<KeysFile, Failure> {
    KeysFile::parse(text).map_err(|reason| format!("{} cannot be used: {reason}", path.display()).into())
}

impl Editing {
    /// `may_make`: a file that is missing or empty begins without a key.
    pub fn begin(path: &Path, may_make: bool) -> Result<Editing, Failure> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if may_make && error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(unreadable(path, error)),
        };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let turn = File::open(directory).map_err(|error| unreadable(directory, error))?;
        flock(&turn, FlockOperation::LockExclusive).map_err(|error| unreadable(directory, error))?;
        let (text, before) = match read_to_change(&path) {
            Ok(text) => (text, Some(fs::metadata(&path).map_err(|error| unreadable(&path, error))?)),
            Err(error) if may_make && error.kind() == io::ErrorKind::NotFound => (NO_KEYS.into(), None),
            Err(error) => return Err(unreadable(&path, error)),
        };
        let text = String::from_utf8(text).map_err(|error| unreadable(&path, error))?;
        // Nothing was in it that a key could be added to by mistake.
        let text = if may_make && text.trim().is_empty() { NO_KEYS.to_owned() } else { text };
        parsed(&path, text.as_bytes())?;
        let document = text.parse().map_err(|error| unreadable(&path, error))?;
        Ok(Editing { path, document, before, _turn: turn })
    }

    pub fn add(&mut self, entry: &Entry<'_>) -> Result<(), Failure> {
        check_name(entry.name).map_err(|error| error.to_string())?;
        if self.keys()?.iter().any(|key| key.name == entry.name) {
            let (name, file) = (entry.name, self.path.display());
            return Err(
                format!("{file} has a key named {name:?}: choose another name, or remove that key first").into()
            );
        }
        let mut table = Table::new();
        table.insert("name", value(entry.name));
        table.insert("sha256", value(entry.sha256));
        table.insert("role", value(entry.role));
        if !entry.prefixes.is_empty() {
            table.insert("prefixes", value(entry.prefixes.iter().collect::<toml_edit::Array>()));
        }
        entry.expires.iter().for_each(|expires| _ = table.insert("expires", value(expires)));
        table.insert("created", value(entry.created));
        if !entry.comment.is_empty() {
            table.insert("comment", value(entry.comment));
        }
        let mut tables = self.take_tables();
        tables.push(table);
        self.document.insert(KEYS, Item::ArrayOfTables(tables));
        Ok(())
    }

    pub fn remove(&mut self, name: &str) -> Result<(), Failure> {
        let Some(at) = self.keys()?.iter().position(|key| key.name == name) else {
            return Err(
                format!("{} has no key named {name:?}; `latchd keys list` shows them", self.path.display()).into()
            );
        };
        let mut tables = self.take_tables();
        tables.remove(at);
        let left = match tables.is_empty() {
            true => value(toml_edit::Array::new()),
            false => Item::ArrayOfTables(tables),
        };
        self.document.insert(KEYS, left);
        Ok(())
    }

    fn keys(&self) -> Result<Vec<KeyConfig>, Failure> {
        parsed(&self.path, self.document.to_string().as_bytes()).map(|file| file.keys)
    }

    /// The entries, also where they are written as a list in brackets.
    fn take_tables(&mut self) -> ArrayOfTables {
        let keys = self.document.remove(KEYS).unwrap_or_default();
        keys.into_array_of_tables().unwrap_or_default()
    }

    /// Writes beside the file and renames: whoever reads it sees the old file or the new one. Mode and owner stay.
    pub fn save(self) -> Result<(), Failure> {
        let text = self.document.to_string();
        // What the server would refuse is not written.
        parsed(&self.path, text.as_bytes())?;
        let draft = self.draft();
        // Of a writer that died: nobody else writes now.
        let _ = fs::remove_file(&draft);
        let written = self.write(&draft, &text).and_then(|()| fs::rename(&draft, &self.path));
        written.and_then(|()| self._turn.sync_all()).map_err(|error| {
            // It may not have been made.
            let _ = fs::remove_file(&draft);
            Failure::unwritable(&self.path, error)
        })
    }

    /// Under a name that nobody gives a file of their own: what is there is removed.
    fn draft(&self) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".latchd-draft");
        self.path.with_file_name(name)
    }

    fn write(&self, draft: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
        file.write_all(text.as_bytes())?;
        let made = file.metadata()?;
        match &self.before {
            Some(before) if (before.uid(), before.gid()) != (made.uid(), made.gid()) => {
                fchown(&file, Some(before.uid()), Some(before.gid()))?;
            }
            Some(_) => {}
            // The group of the directory is that of the server, which has to read the file.
            None => _ = fchown(&file, None, Some(self._turn.metadata()?.gid())),
        }
        let mode = self.before.as_ref().map_or(NEW_MODE, |before| before.mode() & 0o7777);
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn entry<'a>(name: &'a str, prefixes: &'a [String]) -> Entry<'a> {
        let sha256 = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";
        let created = "2026-11-01T00:00:00Z";
        Entry { name, sha256, role: "client", prefixes, expires: None, created, comment: "" }
    }

    fn add(path: &Path, name: &str) -> Result<(), Failure> {
        let mut editing = Editing::begin(path, true)?;
        editing.add(&entry(name, &[]))?;
        editing.save()
    }

    fn remove(path: &Path, name: &str) -> Result<(), Failure> {
        let mut editing = Editing::begin(path, false)?;
        editing.remove(name)?;
        editing.save()
    }

    fn names(path: &Path) -> Vec<String> {
        keys(path).expect("sound").into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn comments_mode_and_links_outlive_a_change() {
        let home = tempfile::tempdir().expect("a directory");
        let (path, link) = (home.path().join("keys.toml"), home.path().join("link.toml"));
        fs::write(home.path().join("keys.new"), "mine").expect("written");
        let old = format!("# ours\n[[keys]] # first\nname = \"a\"\nsha256 = \"{OLD}\"\nrole = \"admin\" # indeed\n");
        fs::write(&path, &old).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("a mode");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        add(&link, "b").expect("added");
        assert!(fs::read_to_string(&path).expect("text").starts_with(&old));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o604);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(names(&path), ["a", "b"]);
        let twice = add(&path, "b").expect_err("refused").message;
        assert!(twice.contains("has a key named \"b\""), "{twice}");
        remove(&path, "b").expect("removed");
        assert_eq!(fs::read_to_string(&path).expect("text").trim_end(), old.trim_end());
        remove(&path, "a").expect("removed");
        assert!(names(&path).is_empty(), "the server takes it: {:?}", fs::read_to_string(&path));
        add(&path, "c").expect("added");
        assert!(remove(&path, "a").expect_err("refused").message.contains("no key named \"a\""));
        assert_eq!(fs::read_dir(home.path()).expect("listed").count(), 3, "no draft stays, and nothing else goes");
    }

    #[test]
    fn list_in_brackets_and_missing_or_empty_file_take_a_key() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("keys.toml");
        fs::write(&path, format!("keys = [{{ name = \"a\", sha256 = \"{OLD}\", role = \"admin\" }}]\n"))
            .expect("written");
        add(&path, "b").expect("added");
        assert_eq!(names(&path), ["a", "b"]);
        let new = home.path().join("new.toml");
        add(&new, "b").expect("added");
        assert_eq!((names(&new), fs::metadata(&new).expect("there").mode() & 0o777), (vec!["b".to_owned()], NEW_MODE));
        for empty in ["", "\n \n"] {
            fs::write(&new, empty).expect("written");
            assert!(remove(&new, "b").is_err());
            add(&new, "b").expect("added");
            assert_eq!(names(&new), ["b"]);
        }
        fs::write(&new, "# cut\n").expect("written");
        assert!(add(&new, "c").expect_err("refused").message.contains("it holds no key"), "others may have been in it");
        fs::remove_file(&new).and_then(|()| fs::write(&new, NO_KEYS)).expect("written");
        let reserved = add(&new, "anonymous").expect_err("refused").message;
        assert!(reserved.contains("may be named `anonymous`"), "{reserved}");
        assert!(add(&new, "ci\u{200b}").expect_err("refused").message.contains("cannot be seen"));
        fs::write(&new, "keys = 7\n").expect("written");
        assert!(add(&new, "c").is_err());
        assert_eq!(fs::read_to_string(&new).expect("text"), "keys = 7\n", "a file that cannot be used stays as it is");
    }

    #[test]
    fn writers_at_the_same_time_lose_no_key() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("keys.toml");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || add(path, &format!("n{n}")).expect("added"));
            }
        });
        assert_eq!(names(&path).len(), 8);
    }
}
