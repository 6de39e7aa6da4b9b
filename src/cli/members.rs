//! `latchd members`: lists and changes the members of a running cluster.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::connect::{Connect, block_on, explain};
use super::output::{Output, Table, print, report};
use super::{Failure, output_queue};
use crate::client::{Client, ClientError, Cluster};

/// Adding a node waits until it has the whole state.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How often a new member is looked for among those that answer.
const SETTLE_CHECKS: u32 = 30;
const RETRY_DELAY: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Members {
    #[command(subcommand)]
    action: Action,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Shows the members, who leads, and how far each one's log is behind
    #[command(after_help = EXAMPLES)]
    List,
    /// Adds a node; it gets the log, but has no vote yet
    ///
    /// Start it first, with an empty data directory: its own --node-id, --peer-listen and --advertise, and the members
    /// as --peers. It waits until it is added.
    #[command(after_help = EXAMPLES)]
    Add {
        /// The id that it was started with (--node-id)
        #[arg(value_name = "ID")]
        node: u64,
        /// Where its peers reach it (its --advertise)
        #[arg(value_name = "URL")]
        address: String,
    },
    /// Gives a node a vote that was added
    #[command(after_help = EXAMPLES)]
    Promote {
        /// The id of the node that was added
        #[arg(value_name = "ID")]
        node: u64,
    },
    /// Takes a node out; do it before a node with a lost disk comes back
    #[command(after_help = EXAMPLES)]
    Remove {
        /// The id of the node, as `latchd members list` shows it
        #[arg(value_name = "ID")]
        node: u64,
    },
}

const EXAMPLES: &str = "Any node may be asked. Changes need the admin role.

Examples:
  latchd members list
  latchd members add 4 https://10.0.0.4:9443
  latchd members promote 4
  latchd members remove 2 --url https://10.0.0.1:8443 --ca /etc/latchd/ca.pem
  latchd members list --output json | jq .leader";

impl Members {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(TIMEOUT)?;
        let cluster = block_on(async { self.action.perform(&client).await.map_err(explain) })?;
        if let Some(detail) = &cluster.standing_detail {
            output_queue::note(format!("node {}: {detail}", cluster.node));
        } else if !cluster.has_quorum {
            output_queue::note(format!("node {} knows no leader with a quorum: nothing is granted", cluster.node));
        }
        let table = table(&cluster);
        if let Action::List = self.action {
            return print(self.output, &cluster, &table);
        }
        report(self.output, &cluster, &table);
        Ok(())
    }
}

impl Action {
    async fn perform(&self, client: &Client) -> Result<Cluster, ClientError> {
        match self {
            Action::List => client.cluster().await,
            Action::Add { node, address } => settled(client, client.add_member(*node, address).await?, *node).await,
            Action::Promote { node } => settled(client, client.promote_member(*node).await?, *node).await,
            Action::Remove { node } => client.remove_member(*node).await,
        }
    }
}

/// The cluster once the new node answers its leader, or after [`SETTLE_CHECKS`] checks.
async fn settled(client: &Client, mut cluster: Cluster, node: u64) -> Result<Cluster, ClientError> {
    let is_settled = |cluster: &Cluster| {
        let new = cluster.members.iter().find(|member| member.node == node);
        cluster.has_quorum && new.is_some_and(|member| member.up && member.lag_entries.is_some())
    };
    for _ in 0..SETTLE_CHECKS {
        if is_settled(&cluster) {
            break;
        }
        tokio::time::sleep(RETRY_DELAY).await;
        cluster = client.cluster().await?;
    }
    Ok(cluster)
}

fn table(cluster: &Cluster) -> Table {
    let mut table = Table::new(&["NODE", "ROLE", "STATE", "LAG", "ADDRESS"]);
    for member in &cluster.members {
        let lag = member.lag_entries.map_or_else(|| "?".to_owned(), |entries| entries.to_string());
        let state = if member.up { "up" } else { "down" };
        let address = if member.address.is_empty() { "-" } else { &member.address };
        table.row(&[&member.node, &member.role, &state, &lag, &address]);
    }
    table
}
