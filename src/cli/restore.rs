//! `latchd restore`: makes a new data directory from a backup.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, output_queue};
use crate::server::offline::{RestoreOptions, check_address, restore};

/// JSON numbers below this are exact in every language.
const NODE_END: u64 = 1 << 53;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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
    #[arg(long, value_name = "ID", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..NODE_END))]
    node_id: u64,
    /// Begin although the clock of this machine reads a time before this release or beyond 2100
    #[arg(long)]
    trust_clock: bool,
    /// The URL for other nodes, https://host:port; a node that runs alone needs none
    #[arg(long, value_name = "URL", value_parser = address)]
    advertise: Option<String>,
}

const EXAMPLES: &str = "The service that is started on the directory is a new one of a single node: its fencing tokens begin far above those
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
    check_address(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
