//! The newest entry and the last vote that were on disk, in a small file beside the log. It shows that the log has lost its
//! end: a log that was cut at the end of a record looks whole.
//!
//! The file is written after each flush of the log, without a flush of its own: after a power loss it may be older than
//! the log, never newer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::raft::types::{LogId, Vote, log_id};

pub const FILE: &str = "position";
const PREFIX: &str = "latchd position 2";
const MISSING: &str = "it is missing";

/// Whether a position was ever written in this directory.
pub fn is_there(data_dir: &Path) -> bool {
    std::fs::metadata(data_dir.join(FILE)).is_ok_and(|file| file.len() > 0)
}

/// The newest entry that was on disk, as the file says; `None` where it does not say anything.
pub fn reached(data_dir: &Path) -> Option<Option<LogId>> {
    let text = std::fs::read_to_string(data_dir.join(FILE)).ok()?;
    parse(&text).map(|durable| durable.last)
}

/// From now on the log is expected to reach this entry, also after a power loss.
pub fn expect(data_dir: &Path, last: LogId) -> io::Result<()> {
    DurablePosition::open(data_dir)?.change(|durable| durable.last = durable.last.max(Some(last)))
}

/// The content of the file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Durable {
    last: Option<LogId>,
    vote: Option<Vote>,
}

#[derive(Debug)]
pub struct DurablePosition {
    file: File,
    durable: Mutex<Durable>,
    failed: AtomicBool,
    /// Why the file could not be read when it was opened.
    unreadable: Option<&'static str>,
}

impl DurablePosition {
    pub fn open(data_dir: &Path) -> io::Result<DurablePosition> {
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(data_dir.join(FILE));
        let file = options?;
        let mut text = String::new();
        let read = match (&file).take(400).read_to_string(&mut text) {
            Ok(0) => Err(MISSING),
            _ => parse(&text).ok_or("its checksum is wrong"),
        };
        let (durable, unreadable) = (read.unwrap_or_default(), read.err());
        Ok(DurablePosition { file, durable: Mutex::new(durable), failed: AtomicBool::new(false), unreadable })
    }

    /// Why the file could not be read. A directory that an older release made may lack it.
    pub fn unreadable_reason(&self, may_be_missing: bool) -> Option<&'static str> {
        self.unreadable.filter(|why| !(may_be_missing && *why == MISSING))
    }

    /// The newest entry that was on disk, if the log, which ends with `last`, has lost it. The file keeps it until the log
    /// reaches it again or is truncated.
    pub fn lost_entry(&self, last: Option<LogId>) -> Option<LogId> {
        self.durable.lock().last.filter(|reached| Some(*reached) > last)
    }

    /// The vote that was on disk, if the log has an older one now.
    pub fn lost_vote(&self, stored: Option<Vote>) -> Option<Vote> {
        self.durable.lock().vote.filter(|vote| Some(vote.leader_id) > stored.map(|stored| stored.leader_id))
    }

    /// The log is on disk up to this entry.
    pub fn advance(&self, last: LogId) {
        let mut durable = self.durable.lock();
        if Some(last) > durable.last {
            durable.last = Some(last);
            self.write_or_warn(&durable);
        }
    }

    pub fn set_vote(&self, vote: &Vote) {
        let mut durable = self.durable.lock();
        durable.vote = Some(*vote);
        self.write_or_warn(&durable);
    }

    /// The log is about to be truncated after this entry: the leader has other entries there.
    pub fn truncate_to(&self, last: Option<LogId>) -> io::Result<()> {
        self.change(|durable| durable.last = last)
    }

    /// Forgets what was on disk.
    pub fn reset(&self) -> io::Result<()> {
        self.change(|durable| *durable = Durable::default())
    }

    fn change(&self, change: impl FnOnce(&mut Durable)) -> io::Result<()> {
        let mut durable = self.durable.lock();
        change(&mut durable);
        self.write(&durable)?;
        self.file.sync_data()
    }

    fn write_or_warn(&self, durable: &Durable) {
        if let Err(error) = self.write(durable)
            && !self.failed.swap(true, Relaxed)
        {
            tracing::warn!(%error, "the file {FILE} in the data directory cannot be written");
        }
    }

    /// Every line has the same length.
    fn write(&self, durable: &Durable) -> io::Result<()> {
        let last = durable.last.map_or((0, 0, 0), |id| (id.leader_id.term, id.leader_id.node_id, id.index));
        let vote = durable.vote.map_or((0, 0), |vote| (vote.leader_id.term, vote.leader_id.node_id));
        let text =
            format!("{PREFIX} entry {:020} {:020} {:020} vote {:020} {:020}", last.0, last.1, last.2, vote.0, vote.1);
        let line = format!("{text} crc {:08x}\n", crc32fast::hash(text.as_bytes()));
        self.file.write_all_at(line.as_bytes(), 0)
    }
}

fn parse(text: &str) -> Option<Durable> {
    let (text, crc) = text.strip_suffix('\n')?.split_once(" crc ")?;
    if crc != format!("{:08x}", crc32fast::hash(text.as_bytes())) {
        return None;
    }
    let (last, vote) = text.strip_prefix(PREFIX)?.strip_prefix(" entry ")?.split_once(" vote ")?;
    let numbers = |text: &str| text.split(' ').map(|number| number.parse().ok()).collect::<Option<Vec<u64>>>();
    let ([term, node, index], [vote_term, vote_node]) =
        (numbers(last)?.try_into().ok()?, numbers(vote)?.try_into().ok()?);
    let last = log_id(term, node, index);
    Some(Durable {
        last: (last != LogId::default()).then_some(last),
        vote: (vote_term > 0).then(|| Vote::new(vote_term, vote_node)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        log_id(term, 1, index)
    }

    fn open(dir: &tempfile::TempDir) -> DurablePosition {
        DurablePosition::open(dir.path()).expect("opened")
    }

    #[test]
    fn log_that_ends_before_position_is_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(open(&dir).lost_entry(None), None, "an older directory has no such file");
        open(&dir).advance(id(2, 7));
        for (last, missing) in [(None, true), (Some(id(2, 6)), true), (Some(id(2, 7)), false), (Some(id(3, 5)), false)]
        {
            assert_eq!(open(&dir).lost_entry(last), missing.then_some(id(2, 7)), "{last:?}");
        }
        open(&dir).truncate_to(Some(id(1, 4))).expect("written");
        assert_eq!(open(&dir).lost_entry(Some(id(1, 4))), None);
        std::fs::write(dir.path().join(FILE), "other").expect("written");
        assert_eq!(open(&dir).lost_entry(None), None);
    }

    #[test]
    fn lost_end_stays_noted_until_log_reaches_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        open(&dir).advance(id(2, 9));
        open(&dir).advance(id(2, 8));
        assert_eq!(open(&dir).lost_entry(Some(id(2, 8))), Some(id(2, 9)));
        open(&dir).advance(id(3, 8));
        assert_eq!(open(&dir).lost_entry(Some(id(3, 8))), None);
        open(&dir).reset().expect("written");
        assert_eq!(open(&dir).lost_entry(None), None);
    }

    #[test]
    fn vote_older_than_position_is_noticed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        open(&dir).set_vote(&Vote::new(4, 2));
        for (stored, missing) in [(None, true), (Some((3, 3)), true), (Some((4, 1)), true), (Some((4, 2)), false)] {
            let stored = stored.map(|(term, node)| Vote::new_committed(term, node));
            assert_eq!(open(&dir).lost_vote(stored), missing.then(|| Vote::new(4, 2)), "{stored:?}");
        }
    }

    /// The bytes in the file: a change here is a new format.
    #[test]
    fn position_file_has_golden_text() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        open(&dir).set_vote(&Vote::new(5, 3));
        open(&dir).advance(id(1, 4));
        let text = std::fs::read_to_string(dir.path().join(FILE)).expect("read");
        let (entry, vote) = (format!("{:020} {:020} {:020}", 1, 1, 4), format!("{:020} {:020}", 5, 3));
        assert_eq!(text, format!("latchd position 2 entry {entry} vote {vote} crc 4af4d9d9\n"));
        std::fs::write(dir.path().join(FILE), text.replace("4 vote", "5 vote")).expect("written");
        assert_eq!(open(&dir).lost_entry(None), None, "it is damaged");
    }
}
