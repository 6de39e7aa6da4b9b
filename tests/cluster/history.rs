//! What clients asked and were answered, and when, by one clock: the only input of the checkers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::target::{Mode, Target};

/// Nanoseconds since the run began, by the monotonic clock of the process that drives all clients.
pub type Nanos = u64;

/// What was asked of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// `wait_ms`: how long to wait in the queue; `None` tries once. `keyed`: sent with an idempotency key.
    Acquire {
        lease_ms: u64,
        wait_ms: Option<u64>,
        keyed: bool,
    },
    Release {
        token: u64,
    },
    Renew {
        token: u64,
        lease_ms: u64,
    },
    /// Another mode for a hold; for a shared one that is to be the only one, with a wait or without.
    Convert {
        token: u64,
        to: Mode,
        wait_ms: Option<u64>,
    },
    Read,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Granted {
        token: u64,
    },
    /// Another has it, also at the end of a wait.
    Contended,
    /// To a retry: what its request was granted before, perhaps unheard, has ended since.
    Ended,
    Released,
    Renewed,
    /// The hold has another mode, and another token.
    Converted {
        token: u64,
    },
    /// To a release, a renewal or a conversion: the key opens nothing.
    NotHeld,
    /// Who holds it, and how many wait.
    Seen {
        token: Option<u64>,
        /// The tokens besides the first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<u64>,
        waiters: u64,
    },
    /// Nothing was done, and the server said so.
    Refused(String),
    /// It may have been done, or may be done yet.
    Unknown(String),
}

/// One request, or several with the same idempotency key: from before the first was sent until the last answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    pub id: u64,
    pub client: u64,
    /// The node that was asked last.
    pub node: u64,
    #[serde(flatten)]
    pub target: Target,
    pub ask: Ask,
    pub call: Nanos,
    pub end: Nanos,
    pub answer: Answer,
    /// From the end of its first request that came to nothing to the start of the last one.
    pub lost_for: Nanos,
    /// Start of its last request, where it asked more than once; 0 otherwise.
    #[serde(default)]
    pub asked_again: Nanos,
}

impl Op {
    /// The token of the grant that this is, if it is one.
    pub fn granted(&self) -> Option<u64> {
        match (&self.ask, &self.answer) {
            (Ask::Acquire { .. }, Answer::Granted { token }) => Some(*token),
            _ => None,
        }
    }

    /// The token that is new with this answer.
    pub fn new_token(&self) -> Option<u64> {
        match &self.answer {
            Answer::Granted { token } | Answer::Converted { token } => Some(*token),
            _ => None,
        }
    }
}

/// Seen by somebody else: at `at`, this acquire stood in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    pub op: u64,
    pub at: Nanos,
}

/// A line of the history file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How to repeat the choices of this run.
    Run {
        seed: u64,
        nodes: usize,
        scenario: String,
    },
    Op(Op),
    Queued(Queued),
    /// What was done to the cluster.
    Fault {
        at: Nanos,
        what: String,
    },
    /// What the run itself found wrong while it went on.
    Complaint {
        at: Nanos,
        what: String,
    },
}

/// All that happened, as the checkers want it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub ops: Vec<Op>,
    pub queued: Vec<Queued>,
}

/// Writes the history while the run goes on, so that a hang or a panic leaves it behind.
pub struct Recorder {
    began: Instant,
    next: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    file: BufWriter<File>,
    history: History,
    complaints: Vec<String>,
}

impl Recorder {
    pub fn new(path: &Path) -> Self {
        let file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let inner = Inner { file: BufWriter::new(file), history: History::default(), complaints: Vec::new() };
        Self { began: Instant::now(), next: AtomicU64::new(0), inner: Mutex::new(inner) }
    }

    /// The time of this run.
    pub fn now(&self) -> Nanos {
        u64::try_from(self.began.elapsed().as_nanos()).expect("no run takes centuries")
    }

    /// A number for an operation that is about to begin.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub fn op(&self, op: Op) {
        let mut inner = self.inner.lock().expect("no writer panics");
        write(&mut inner.file, &Line::Op(op.clone()));
        inner.history.ops.push(op);
    }

    pub fn queued(&self, op: u64, at: Nanos) {
        let mut inner = self.inner.lock().expect("no writer panics");
        let queued = Queued { op, at };
        write(&mut inner.file, &Line::Queued(queued.clone()));
        inner.history.queued.push(queued);
    }

    pub fn run(&self, seed: u64, nodes: usize, scenario: &str) {
        self.line(&Line::Run { seed, nodes, scenario: scenario.to_owned() });
    }

    pub fn fault(&self, what: impl Into<String>) {
        self.line(&Line::Fault { at: self.now(), what: what.into() });
    }

    pub fn complain(&self, what: impl Into<String>) {
        let what = what.into();
        self.line(&Line::Complaint { at: self.now(), what: what.clone() });
        self.inner.lock().expect("no writer panics").complaints.push(what);
    }

    fn line(&self, line: &Line) {
        let file = &mut self.inner.lock().expect("no writer panics").file;
        write(file, line);
        file.flush().expect("the history can be written");
    }

    /// The whole history and what was found wrong on the way, with the file behind it complete.
    pub fn finish(&self) -> (History, Vec<String>) {
        let mut inner = self.inner.lock().expect("no writer panics");
        inner.file.flush().expect("the history can be written");
        (std::mem::take(&mut inner.history), std::mem::take(&mut inner.complaints))
    }
}

fn write(file: &mut BufWriter<File>, line: &Line) {
    serde_json::to_writer(&mut *file, line).expect("the history can be written");
    file.write_all(b"\n").expect("the history can be written");
}

/// Reads a history file again, for a look at a violation.
pub fn read(path: &Path) -> History {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut history = History::default();
    for line in text.lines() {
        match serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")) {
            Line::Op(op) => history.ops.push(op),
            Line::Queued(queued) => history.queued.push(queued),
            Line::Run { .. } | Line::Fault { .. } | Line::Complaint { .. } => {}
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_file_reads_back_unchanged() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let recorder = Recorder::new(file.path());
        recorder.run(7, 3, "reading back");
        recorder.fault("none");
        let ask = Ask::Acquire { lease_ms: 5, wait_ms: None, keyed: true };
        let (client, node, answer) = (1, 2, Answer::Granted { token: 9 });
        let target = Target::several([("a".to_owned(), Mode::Exclusive), ("b".to_owned(), Mode::Shared)]);
        let op = Op { id: 0, client, node, target, ask, call: 1, end: 2, answer, lost_for: 0, asked_again: 0 };
        recorder.op(op.clone());
        let answer = Answer::Seen { token: Some(9), others: vec![10], waiters: 0 };
        recorder.op(Op { target: "b".into(), ask: Ask::Read, answer, ..op });
        recorder.queued(0, 3);
        recorder.complain("nothing");
        let (noted, complaints) = recorder.finish();
        let again = read(file.path());
        assert_eq!((again.ops, again.queued), (noted.ops, noted.queued));
        assert_eq!(complaints, ["nothing"]);
    }

    /// Such a line was written when every lock was exclusive.
    #[test]
    fn history_of_an_older_run_is_read() {
        let line = r#"{"op":{"id":4,"client":1,"node":2,"name":"a","ask":"read","call":1,"end":2,"answer":{"seen":{"token":3,"waiters":0}},"lost_for":0}}"#;
        let Line::Op(op) = serde_json::from_str(line).expect("it is read") else { panic!("an operation") };
        assert_eq!(op.target, "a".into());
        assert_eq!(op.answer, Answer::Seen { token: Some(3), others: Vec::new(), waiters: 0 });
        assert_eq!(serde_json::to_string(&op).expect("JSON").matches("others").count(), 0);
    }
}
