//! `latchd backup` writes the state of a running service to a file, checked before it gets its name; `latchd restore` makes
//! a new data directory from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::connect::{Connect, block_on, explain};
use super::{Failure, output_queue};
use crate::client::{BackupError, Client, NO_TIMEOUT};
use crate::config::NODE_ID_MAX;
use crate::server::offline::{BackupCounts, RestoreOptions, check, check_address, restore};

/// The bytes between two updates of the progress line.
const PROGRESS_BYTES: u64 = 8 << 20;
const STDOUT: &str = "-";

#[derive(Debug, Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct Backup {
    /// Where the backup is written; a file of this name is replaced once the new one is whole and checked. `-` is stdout,
    /// to which it goes as it comes: exit code 0 says that it is whole
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    connect: Connect,
}

const BACKUP_EXAMPLES: &str =
    "The service goes on meanwhile; what was answered before the command began is in the backup.
It holds every key and session id: keep it as secret as the service's own disk.

Examples:
  latchd backup latchd.backup
  latchd backup - | ssh vault 'cat > latchd.backup'
  latchd backup --url https://10.0.0.1:8443 --ca /etc/latchd/ca.pem /backup/latchd-$(date +%F).backup";

impl Backup {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(NO_TIMEOUT)?;
        if self.file == Path::new(STDOUT) {
            return to_stdout(&client);
        }
        let draft = draft_of(&self.file)?;
        check_target(&self.file)?;
        let taken = take(&client, &draft, &self.file);
        if taken.is_err() {
            // The draft is useless; its own error is returned.
            let _ = fs::remove_file(&draft);
        }
        let contents = taken?;
        output_queue::report(format!("{}: {contents}\n", self.file.display()));
        Ok(())
    }
}

/// Without a check: `latchd restore` refuses an incomplete backup.
fn to_stdout(client: &Client) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        return Err("a backup is not for a terminal: redirect stdout, or name a file".to_owned().into());
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut size = 0;
    receive(client, &mut out, &mut |bytes| size = bytes)?;
    out.flush().map_err(|error| format!("stdout cannot be written: {error}"))?;
    output_queue::note(format!("{size} bytes written"));
    Ok(())
}

fn receive(client: &Client, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), Failure> {
    block_on(async {
        client.backup(out, progress).await.map_err(|error| match error {
            BackupError::Client(error) => explain(error),
            other => Failure::from_error(other),
        })
    })
}

/// A device, a pipe or a link would be replaced by the file.
fn check_target(file: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(file) {
        Ok(found) if !found.is_file() => {
            Err(format!("{} is no regular file: name one, or write `-` for stdout", file.display()).into())
        }
        _ => Ok(()),
    }
}

/// Beside the target, so that it can be renamed.
fn draft_of(file: &Path) -> Result<PathBuf, Failure> {
    let name = file.file_name().ok_or_else(|| format!("{} is no name for a file", file.display()))?;
    let mut draft = name.to_owned();
    draft.push(format!(".{}.part", std::process::id()));
    Ok(file.with_file_name(draft))
}

fn take(client: &Client, draft: &Path, target: &Path) -> Result<BackupCounts, Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(draft);
    let mut out = BufWriter::new(file.map_err(|error| Failure::unwritable(draft, error))?);
    let mut progress = Progress::default();
    let receiving = receive(client, &mut out, &mut |bytes| progress.reached(bytes));
    progress.end();
    receiving?;
    let file = out.into_inner().map_err(|error| Failure::unwritable(draft, error.into_error()))?;
    file.sync_all().map_err(|error| Failure::unwritable(draft, error))?;
    let contents = check(draft).map_err(Failure::from_error)?;
    fs::rename(draft, target).map_err(|error| Failure::unwritable(target, error))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::unwritable(folder, error))?;
    Ok(contents)
}

/// A progress line on a terminal.
#[derive(Default)]
struct Progress {
    shown: u64,
}

impl Progress {
    fn reached(&mut self, bytes: u64) {
        if bytes - self.shown >= PROGRESS_BYTES && io::stderr().is_terminal() {
            self.shown = bytes;
            let _ = write!(io::stderr(), "\r{} MiB", bytes >> 20);
        }
    }

    fn end(&self) {
        if self.shown > 0 {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct Restore {
    /// The backup, as `latchd backup` wrote it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Directory that is made; one that is there must be empty
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// End every session, and with them what they hold
    #[arg(long)]
    drop_sessions: bool,
    /// End every hold
    #[arg(long)]
    drop_holds: bool,
    /// The node that starts from it, as the first of a new cluster
    #[arg(long, value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..NODE_ID_MAX + 1))]
    node_id: u64,
    /// Begin although the clock of this machine reads a time before this release or beyond 2100
    #[arg(long)]
    trust_clock: bool,
    /// The URL for other nodes, https://host:port; a node that runs alone needs none
    #[arg(long, value_name = "URL", value_parser = address)]
    advertise: Option<String>,
}

const RESTORE_EXAMPLES: &str = "The service that is started on the directory is a new one of a single node: its fencing tokens begin far above those
of the backup, so that none is given twice. Leases go on from where they stood. Other nodes are added with
`latchd members add`; never start one on a copy of the same directory.

Examples:
  latchd restore latchd.backup --data-dir /var/lib/latchd
  latchd restore latchd.backup --data-dir data --drop-sessions --drop-holds";

impl Restore {
    pub fn run(self) -> Result<(), Failure> {
        let Restore { file, data_dir, drop_sessions, drop_holds, node_id, advertise, trust_clock } = self;
        let advertise = advertise.unwrap_or_default();
        let shown = data_dir.display().to_string();
        let (keep_sessions, keep_holds) = (!drop_sessions, !drop_holds);
        let options = RestoreOptions { data_dir, node_id, advertise, keep_sessions, keep_holds, trust_clock };
        let contents = restore(&file, &options).map_err(Failure::from_error)?;
        let next = format!("Start it with: latchd serve --data-dir {shown} --node-id {node_id}");
        output_queue::report(format!("{shown}: {contents}\n{next}\n"));
        Ok(())
    }
}

fn address(text: &str) -> Result<String, String> {
    check_address(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}
