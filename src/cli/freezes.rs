//! `latchd freeze` and `latchd thaw`: nothing new is granted under a name for a while. `latchd freezes` lists what is frozen.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::lock::duration;
use super::output::{NOTHING, Output, Span, Table, print, report};
use super::{Failure, output_queue};
use crate::client::{Freeze as Frozen, FreezeEnd, FreezeRequest, printable};

#[derive(Debug, Args)]
#[command(after_help = FREEZE_HELP)]
pub struct Freeze {
    /// The name to freeze; with --prefix what the names to freeze start with
    #[arg(required_unless_present = "everything", value_parser = target)]
    target: Option<String>,
    /// Why: everybody who is refused is told
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    end: End,
    #[command(flatten)]
    covers: Covers,
    /// Ends the holds under it by force; without this they go on until they are released or expire
    #[arg(long = "break")]
    breaks: bool,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// When the freeze ends by itself.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct End {
    /// How long it lasts, such as 30m or 2h; at most `locks.freeze_max` of the service
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
    /// When it ends, such as 2026-11-30T06:00:00Z, by the clock of the service
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Which names are frozen.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Covers {
    /// Freezes all names that start with the target
    #[arg(long)]
    prefix: bool,
    /// Freezes the one name, as without any of these
    #[arg(long)]
    name: bool,
    /// Freezes all names there are; goes without a target
    #[arg(long, conflicts_with = "target")]
    everything: bool,
}

const FREEZE_HELP: &str = "\
Until the end nothing new is granted under the target. Who does not wait is refused with the reason and the end; who
waits keeps its place, and gets the lock in its turn afterwards. Holders go on, unless --break ends them. To freeze a
target again replaces its freeze, so its end can be moved; a name is not frozen while it is frozen as a prefix, and the
reverse. Needs the admin role, and --break that role for every name.

With --output json: {\"target\", \"match\", \"holds\", \"reason\", \"frozen_for_seconds\", \"remaining_seconds\", \"until\",
\"sweeping\", \"by\"}. \"match\" is `name`, `prefix` or `everything`, whose target is empty; \"holds\" is `drain` or `break`;
\"sweeping\" is true while holds may be left that --break ends. Fields are added at times, none is taken away.

Examples:
  latchd freeze nightly --reason 'the disk is replaced' --for 2h
  latchd freeze deploy/ --prefix --reason 'release 7, OPS-7' --until 2026-11-30T06:00:00Z
  latchd freeze --everything --reason 'the storage moves' --for 10m --break
  latchd freeze --reason 'a test' --for 1m -- -x    a name that begins with a hyphen";

#[derive(Debug, Args)]
#[command(after_help = THAW_HELP)]
pub struct Thaw {
    /// The target as it was frozen: a name, or what names start with
    #[arg(required_unless_present = "everything", value_parser = target)]
    target: Option<String>,
    /// Ends the freeze of everything; those of names and prefixes go on
    #[arg(long, conflicts_with = "target")]
    everything: bool,
    /// Why; the service writes it to its log with your name
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const THAW_HELP: &str = "\
Who waits under the target gets its lock in its turn, unless another freeze of the name goes on. The exit code is 1 if
nothing is frozen under this target. Needs the admin role.

With --output json: the freeze as it was, with the fields of `latchd freeze --output json`.

Examples:
  latchd thaw nightly
  latchd thaw deploy/ --reason 'release 7 is out'
  latchd thaw --everything";

#[derive(Debug, Args)]
#[command(after_help = FREEZES_HELP)]
pub struct Freezes {
    /// Only freezes of this lock: of its name, of prefixes of it, and of everything
    name: Option<String>,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const FREEZES_HELP: &str = "\
One row for each freeze, in the order of the targets. MATCH is `name`, `prefix` or `everything`; HOLDS is `drain` where
the holders go on, `breaking` where they are being ended, or `break` where they were; LEFT and UNTIL say when it ends by
itself, BY who froze (shown to admins).

With --output json: {\"freezes\": [{\"target\", \"match\", \"holds\", \"reason\", \"frozen_for_seconds\",
\"remaining_seconds\", \"until\", \"sweeping\", \"by\"}]}. Fields are added at times, none is taken away.

Examples:
  latchd freezes
  latchd freezes deploy/production
  latchd freezes --output json | jq -r '.freezes[] | select(.match == \"everything\") | .reason'";

/// For the service an empty target is everything, which no script should name by an empty variable.
fn target(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty; for everything say --everything".to_owned()) } else { Ok(text.to_owned()) }
}

impl Freeze {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let (output, request) = (self.output, self.request()?);
        let frozen = block_on(async { client.freeze(&request).await.map_err(explain) })?;
        let holds = match (&*frozen.holds, frozen.sweeping) {
            ("break", true) => "; the holds under it are being ended: until all are, `latchd freezes` shows `breaking`",
            ("break", false) => "; the holds under it are ended",
            _ => "",
        };
        report(output, &frozen, &format!("{}{holds}\n{}", frozen.text(), alone(&frozen)));
        if frozen.looks_like_a_prefix() {
            let target = printable(&frozen.target);
            output_queue::note(format!(
                "{target:?} looks like what other names start with, and none of those is frozen: if they were meant, \
                 `latchd thaw` it and freeze it with --prefix"
            ));
        }
        Ok(())
    }

    fn request(self) -> Result<FreezeRequest, Failure> {
        let end = match (self.end.length, self.end.until) {
            (Some(length), _) => FreezeEnd::After(length.as_secs_f64()),
            (None, Some(until)) => FreezeEnd::At(until),
            (None, None) => return Err(Failure::usage("a freeze must have an end: give --for or --until")),
        };
        Ok(FreezeRequest {
            target: self.target.unwrap_or_default(),
            r#match: self.covers.word(),
            holds: if self.breaks { "break" } else { "drain" },
            reason: self.reason,
            end,
        })
    }
}

/// A name alone is easily taken for all that is below it.
fn alone(frozen: &Frozen) -> String {
    if frozen.r#match != "name" {
        return String::new();
    }
    let target = printable(&frozen.target);
    format!("only the lock named {target:?}: with --prefix all locks whose names start with it\n")
}

impl Covers {
    fn word(&self) -> &'static str {
        match (self.everything, self.prefix) {
            (true, _) => "everything",
            (false, true) => "prefix",
            (false, false) => "name",
        }
    }
}

impl Thaw {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let target = self.target.unwrap_or_default();
        let thawed = block_on(async { client.thaw(&target, &self.reason).await.map_err(explain) })?;
        let (subject, left) = (thawed.subject(), Span(thawed.remaining_seconds));
        let text =
            format!("{subject} is thawed, {left} before the end; it was frozen for: {}\n", printable(&thawed.reason));
        report(self.output, &thawed, &text);
        Ok(())
    }
}

impl Freezes {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let name = self.name.as_deref();
        let freezes = block_on(async { client.freezes(name).await.map_err(explain) })?;
        if freezes.is_empty() && self.output == Output::Table {
            let which = name.map_or_else(|| "nothing".to_owned(), |name| format!("{:?}", printable(name)));
            let verb = if name.is_some() { "is not frozen" } else { "is frozen" };
            output_queue::note(format!("nothing to show: {which} {verb}, as far as this credential may see"));
            return Ok(());
        }
        print(self.output, &BTreeMap::from([("freezes", &freezes)]), &table(&freezes))
    }
}

fn table(freezes: &[Frozen]) -> Table {
    let mut table = Table::new(&["TARGET", "MATCH", "HOLDS", "LEFT", "UNTIL", "BY", "REASON"]);
    for freeze in freezes {
        let Frozen { target, r#match, holds, until, reason, .. } = freeze;
        let target = if target.is_empty() { NOTHING } else { target };
        let by = freeze.by.as_deref().unwrap_or(NOTHING);
        let holds = if holds == "break" && freeze.sweeping { "breaking" } else { holds };
        table.row(&[&target, r#match, &holds, &Span(freeze.remaining_seconds), until, &by, reason]);
    }
    table
}
