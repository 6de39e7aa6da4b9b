//! The files of the audit log and of the log: whether this user may write them, and whether there is room for them.

use std::fs::Metadata;
use std::io::{Error, ErrorKind};
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::certificates::unreadable;
use super::finding::Finding;
use crate::config::Config;

const MIB: u64 = 1 << 20;

/// A file that a server appends to.
struct Appended<'a> {
    key: &'static str,
    path: &'a Path,
    /// It is renamed when it is full, and a new one is made beside it.
    is_rotated: bool,
    /// Less free space than this is little.
    free_bytes_min: u64,
}

pub fn check(config: &Config) -> Vec<Finding> {
    let free_bytes_min = config.storage.min_free_bytes;
    let audit = config.audit.file();
    let audit = audit.as_ref().map(|file| Appended {
        key: "audit.file",
        path: &file.path,
        is_rotated: true,
        free_bytes_min: free_bytes_min.max(file.bytes_max),
    });
    let log = config.log.file();
    let log = log.map(|path| Appended { key: "log.file", path, is_rotated: false, free_bytes_min });
    audit.into_iter().chain(log).map(|file| file.judge()).collect()
}

impl Appended<'_> {
    fn judge(&self) -> Finding {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match std::fs::metadata(folder) {
            Ok(found) if !found.is_dir() => {
                let what = format!("{} is no folder", folder.display());
                return Finding::error(self.key, what, format!("set {} to a file in a folder that exists", self.key));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                let what = format!("the folder {} does not exist: the server would not start", path.display());
                return Finding::error(self.key, what, "make it, and give it to the user that latchd runs as");
            }
            Err(error) => return unreadable(self.key, folder, &error),
            Ok(_) => {}
        }
        let file = match std::fs::metadata(self.path) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return unreadable(self.key, self.path, &error),
        };
        if file.as_ref().is_some_and(Metadata::is_dir) {
            let what = format!("{} is a folder", self.path.display());
            return Finding::error(self.key, what, format!("set {} to a file", self.key));
        }
        if let Some(found) = self.refused(folder, file.is_some()) {
            return found;
        }
        match file.is_none_or(|file| file.is_file()) {
            true => self.room(folder),
            false => Finding::ok(self.key, format!("{} can be written, and is no file on a disk", self.path.display())),
        }
    }

    /// What this user may not do.
    fn refused(&self, folder: &Path, exists: bool) -> Option<Finding> {
        let writes = exists.then_some((self.path, Access::WRITE_OK));
        let makes = (!exists || self.is_rotated).then_some((folder, Access::WRITE_OK | Access::EXEC_OK));
        let asked = writes.into_iter().chain(makes);
        let mut refused = asked.filter_map(|(path, wanted)| Some((path, access(path, wanted).err()?)));
        refused.next().map(|(path, error)| self.unwritable(path, &error.into()))
    }

    fn unwritable(&self, path: &Path, error: &Error) -> Finding {
        let why = if self.is_rotated { ", and its folder is needed for the rotation" } else { "" };
        let what = format!("{} cannot be written by this user ({error}){why}", path.display());
        Finding::error(self.key, what, "give it to the user that latchd runs as (chown), or run this as that user")
    }

    fn room(&self, folder: &Path) -> Finding {
        let space = match statvfs(folder) {
            Ok(space) => space,
            Err(error) => return unreadable(self.key, folder, &error.into()),
        };
        self.of_space(space.f_bavail.saturating_mul(space.f_frsize), space.f_blocks.saturating_mul(space.f_frsize))
    }

    fn of_space(&self, free: u64, total: u64) -> Finding {
        let shown = format!("{} MiB of {} MiB are free on its disk", free / MIB, total / MIB);
        let path = self.path.display();
        match free < self.free_bytes_min {
            true => {
                let what = format!("the disk of {path} is nearly full: {shown}");
                Finding::warn(self.key, what, format!("free some space, or move {} to a larger disk", self.key))
            }
            false => Finding::ok(self.key, format!("{path} can be written, and {shown}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::config::Inputs;

    fn found(audit: &Path, log: &Path) -> Vec<Finding> {
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        let env = vec![variable("LATCHD_AUDIT_FILE", audit), variable("LATCHD_LOG_FILE", log)];
        let env = [env, vec![("LATCHD_STORAGE_MIN_FREE_BYTES".to_owned(), "1KiB".to_owned())]].concat();
        let env = [env, vec![("LATCHD_AUDIT_FILE_BYTES_MAX".to_owned(), "4KiB".to_owned())]].concat();
        check(&Config::read(Inputs { env, ..Inputs::default() }).expect("a configuration"))
    }

    #[test]
    fn files_that_cannot_be_written_are_found_with_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let here = |name: &str| folder.path().join(name);
        let good = found(&here("audit"), &here("log"));
        assert!(good.iter().all(|one| one.level == Level::Ok) && good.len() == 2, "{good:?}");
        assert_eq!(found(Path::new(""), Path::new("")), [], "lines go to the log, and the log to stderr");
        std::fs::write(here("file"), "").expect("written");
        for (path, what) in [("none/a", "does not exist"), ("file/a", "is no folder"), (".", "is a folder")] {
            let bad = found(&here(path), &here(path));
            assert_eq!(bad.iter().map(|one| &*one.check).collect::<Vec<_>>(), ["audit.file", "log.file"]);
            assert!(bad.iter().all(|one| one.level == Level::Error && one.finding.contains(what)), "{bad:?}");
        }
        let special = &found(Path::new(""), Path::new("/dev/null"))[0];
        assert!(special.level == Level::Ok && special.finding.contains("no file on a disk"), "{special:?}");
    }

    #[test]
    fn little_room_and_missing_rights_are_told() {
        let path = Path::new("/var/log/latchd.log");
        let file = Appended { key: "audit.file", path, is_rotated: true, free_bytes_min: 64 * MIB };
        assert_eq!(file.of_space(64 * MIB, 100 * MIB).level, Level::Ok);
        let full = file.of_space(63 * MIB, 100 * MIB);
        assert!(full.level == Level::Warn && full.finding.contains("63 MiB of 100 MiB"), "{full:?}");
        let refused = file.unwritable(path, &Error::from(ErrorKind::PermissionDenied));
        assert!(refused.level == Level::Error && refused.finding.contains("rotation"), "{refused:?}");
    }
}
