//! Recording an act: its line before it is carried out, and the line of its outcome.

use super::act::{Act, By};
use super::line::{Line, Stage};
use super::queue::{FileQueue, Unwritten};
use crate::base::{LogRateLimit, clock};
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uuid::Uuid;

/// What becomes of an act whose line cannot be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It is not carried out.
    Refuse,
    /// It is carried out, and the failure is told in the log.
    Continue,
}

/// Where lines go.
pub enum Destination {
    File(FileQueue),
    /// Among the lines of the log; the function returns whether it took the line.
    Log(fn(&str) -> bool),
}

/// How an act ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    /// Nothing was done, with the code of the error.
    Refused(&'static str),
    /// It was given to the log, and how it ended is not known.
    Unknown,
}

/// An act that must not be carried out, because its line was not written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused;

/// An act whose line is written. However it goes on, it has a line of its outcome: dropped before [`Audit::end`], as by a
/// panic, that it is unknown.
pub struct Begun {
    audit: Arc<Audit>,
    recorded: Recorded,
    outcome: Outcome,
    has_line: bool,
}

/// What both lines of an act say.
struct Recorded {
    id: String,
    by: By,
    act: Act,
}

/// Lines since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub written: u64,
    pub failed: u64,
    /// Refused credentials beyond the rate of lines.
    pub left_out: u64,
}

pub struct Audit {
    node: u64,
    on_failure: OnFailure,
    destination: Destination,
    written: AtomicU64,
    failed: AtomicU64,
    left_out: AtomicU64,
    complaints: LogRateLimit,
}

impl Audit {
    pub fn new(node: u64, destination: Destination, on_failure: OnFailure) -> Audit {
        Audit {
            node,
            on_failure,
            destination,
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
            complaints: LogRateLimit::new(1),
        }
    }

    pub fn counts(&self) -> Counts {
        let [written, failed, left_out] =
            [&self.written, &self.failed, &self.left_out].map(|counter| counter.load(Relaxed));
        Counts { written, failed, left_out }
    }

    /// Writes the line of an act that is about to be carried out.
    pub async fn begin(self: &Arc<Self>, by: By, act: Act) -> Result<Begun, Refused> {
        let recorded = Recorded { id: Uuid::new_v4().simple().to_string(), by, act };
        let refuses = self.on_failure == OnFailure::Refuse;
        // A disk that is only slow may write the intent after all: then this line says that nothing was done.
        let if_late = refuses.then(|| recorded.outcome(self.node, Outcome::Refused("audit-unwritten")));
        let written = self.write(&recorded.line(self.node, Stage::Intent), if_late.as_ref()).await;
        if refuses && written.is_err() {
            return Err(Refused);
        }
        Ok(Begun { audit: Arc::clone(self), recorded, outcome: Outcome::Unknown, has_line: false })
    }

    /// Writes how it ended. It is done, so whoever asked is told so even if this fails.
    pub async fn end(&self, mut begun: Begun, outcome: Outcome) {
        begun.outcome = outcome;
        // The failure is counted and told already.
        drop(self.write(&begun.recorded.outcome(self.node, outcome), None).await);
        begun.has_line = true;
    }

    /// Writes that a credential was refused, and how many were before it that have no line.
    pub async fn refused_credential(&self, from: IpAddr, why: &str, left_out: u64) {
        let line = Line {
            reason: Some(why),
            left_out: Some(left_out),
            ..Line::new(Stage::RefusedCredential, self.node, from)
        };
        drop(self.write(&line, None).await);
    }

    /// Counts a refused credential that gets no line.
    pub fn leave_out(&self) {
        self.left_out.fetch_add(1, Relaxed);
    }

    /// `if_late` follows the line if that is written after it was given up.
    async fn write(&self, line: &Line<'_>, if_late: Option<&Line<'_>>) -> Result<(), Unwritten> {
        let written = match &self.destination {
            Destination::Log(push) => push(&line.json()).then_some(()).ok_or(Unwritten::LogFull),
            Destination::File(queue) => queue.write(line.bytes(), if_late.map(Line::bytes).unwrap_or_default()).await,
        };
        self.count(&written);
        written
    }

    /// The same where nobody can wait for it.
    fn push(self: &Arc<Self>, line: &Line<'_>) {
        let refused = match &self.destination {
            Destination::Log(push) => {
                self.count(&push(&line.json()).then_some(()).ok_or(Unwritten::LogFull));
                return;
            }
            Destination::File(queue) => {
                let audit = Arc::clone(self);
                queue.push(line.bytes(), move |written| audit.count(&written))
            }
        };
        if refused.is_err() {
            self.count(&refused);
        }
    }

    fn count(&self, written: &Result<(), Unwritten>) {
        match written {
            Ok(()) => self.written.fetch_add(1, Relaxed),
            Err(reason) => {
                if let Some(held_back) = self.complaints.admit(clock::process_age()) {
                    tracing::error!(%reason, held_back, "a line of the audit log cannot be written: {reason}");
                }
                self.failed.fetch_add(1, Relaxed)
            }
        };
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.has_line {
            self.audit.push(&self.recorded.outcome(self.audit.node, self.outcome));
        }
    }
}

impl Recorded {
    fn line(&self, node: u64, stage: Stage) -> Line<'_> {
        Line::of(stage, node, &self.id, &self.by, &self.act)
    }

    fn outcome(&self, node: u64, outcome: Outcome) -> Line<'_> {
        let (outcome, error) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Refused(code) => ("refused", Some(code)),
            Outcome::Unknown => ("unknown", None),
        };
        Line { outcome: Some(outcome), error, ..self.line(node, Stage::Outcome) }
    }
}
