//! The newest entry that was on disk, in a small file beside the log: a log that was cut at the end of a record looks
//! whole, and this tells.
//!
//! Written after each flush of the log and without one of its own: a loss of power may leave it behind the log, never
//! before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::types::LogId;

const FILE: &str = "position";
const PREFIX: &str = "latchd position 1";

/// Term and index of an entry, in their order.
type Place = (u64, u64);

#[derive(Debug)]
pub(super) struct Position {
    file: File,
    failed: AtomicBool,
}

impl Position {
    pub fn open(data_dir: &Path) -> io::Result<Position> {
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(data_dir.join(FILE));
        Ok(Position { file: options?, failed: AtomicBool::new(false) })
    }

    /// The entry that was on disk once, where the log ends before it now.
    pub fn missing_after(&self, last: Option<LogId>) -> Option<Place> {
        let mut text = String::new();
        let read = (&self.file).take(200).read_to_string(&mut text);
        if read.is_err() || (!text.is_empty() && parse(&text).is_none()) {
            tracing::warn!(
                "the file {FILE} in the data directory cannot be read: whether the log lost its end is not known"
            );
        }
        parse(&text).filter(|reached| Some(*reached) > last.map(place))
    }

    /// The log is on disk up to this entry.
    pub fn reached(&self, last: LogId) {
        if let Err(error) = self.write(place(last))
            && !self.failed.swap(true, Relaxed)
        {
            tracing::warn!(%error, "the file {FILE} in the data directory cannot be written");
        }
    }

    /// The log is about to end before this index, in its own order.
    pub fn fall_below(&self, last: Option<LogId>) -> io::Result<()> {
        self.write(last.map_or((0, 0), place))?;
        self.file.sync_data()
    }

    /// Always as long.
    fn write(&self, (term, index): Place) -> io::Result<()> {
        self.file.write_all_at(format!("{PREFIX} term {term:020} index {index:020}\n").as_bytes(), 0)
    }
}

fn place(id: LogId) -> Place {
    (id.leader_id.term, id.index)
}

fn parse(text: &str) -> Option<Place> {
    let (term, index) = text.strip_prefix(PREFIX)?.strip_prefix(" term ")?.strip_suffix('\n')?.split_once(" index ")?;
    Some((term.parse().ok()?, index.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::CommittedLeaderId;

    fn id(term: u64, index: u64) -> LogId {
        LogId::new(CommittedLeaderId::new(term, 1), index)
    }

    #[test]
    fn a_log_that_ends_before_what_was_on_disk_is_known() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let open = || Position::open(dir.path()).expect("opened");
        assert_eq!(open().missing_after(None), None, "an older directory has no such file");
        open().reached(id(2, 7));
        for (last, missing) in [(None, true), (Some(id(2, 6)), true), (Some(id(2, 7)), false), (Some(id(3, 5)), false)]
        {
            assert_eq!(open().missing_after(last), missing.then_some((2, 7)), "{last:?}");
        }
        open().fall_below(Some(id(1, 4))).expect("written");
        assert_eq!(open().missing_after(Some(id(1, 4))), None);
        let text = std::fs::read_to_string(dir.path().join(FILE)).expect("read");
        assert_eq!(text, "latchd position 1 term 00000000000000000001 index 00000000000000000004\n");
        std::fs::write(dir.path().join(FILE), "other").expect("written");
        assert_eq!(open().missing_after(None), None);
    }
}
