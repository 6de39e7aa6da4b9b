//! The command line: one file for each subcommand, or for two that belong together. Messages are for people: what is wrong, where, and what to do.

mod backup;
mod certs;
mod completions;
mod connect;
mod doctor;
mod exit;
mod freezes;
mod hash;
mod health;
mod history;
mod keys;
mod leader;
mod listings;
mod lock;
mod man;
mod mcp;
mod members;
mod output;
mod output_queue;
mod serve;
mod top;
mod unlock;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use exit::Failure;

/// A lock service: sessions, leases, fencing tokens and fair queues over HTTPS, durable in one binary.
#[derive(Debug, Parser)]
#[command(name = "latchd", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service
    Serve(Box<serve::Serve>),
    /// Asks a running service, or one node of it, whether it is ready; exit code 0 if so, 1 if not
    Health(health::Health),
    /// Checks a configuration, its files and its machine, and the nodes of a running service; says what to do
    Doctor(Box<doctor::Doctor>),
    /// Runs a command while holding a lock
    Lock(Box<lock::Lock>),
    /// Runs a command while leading an election
    Elect(Box<lock::Elect>),
    /// Shows who leads an election
    Leader(leader::Leader),
    /// Shows who holds which locks, and how many wait
    Locks(listings::Locks),
    /// Shows who held a lock before, and how each hold ended
    History(history::History),
    /// Shows the live sessions
    Sessions(listings::Sessions),
    /// Releases a hold by its key, or ends one of another client
    Unlock(unlock::Unlock),
    /// Grants nothing new under a name for a while, and tells everybody why
    Freeze(freezes::Freeze),
    /// Ends a freeze before its time
    Thaw(freezes::Thaw),
    /// Shows what is frozen, until when and why
    Freezes(freezes::Freezes),
    /// Shows which locks are waited for, and for how long
    Top(top::Top),
    /// Shows what happens to locks, as it happens
    Watch(watch::Watch),
    /// Serves locks to an agent, by the Model Context Protocol on stdin and stdout
    Mcp(mcp::Mcp),
    /// Shows and changes the members of a cluster
    Members(members::Members),
    /// Writes a backup of a running service to a file
    Backup(backup::Backup),
    /// Makes a new data directory out of a backup
    Restore(backup::Restore),
    /// Makes an authority and certificates with which the nodes of a cluster know each other
    Certs(certs::Certs),
    /// Makes, shows and removes API keys in a file that a running service reads again
    Keys(keys::Keys),
    /// Hashes a password or a key from stdin for the configuration file
    Hash(hash::Hash),
    /// Prints a script that completes command lines in a shell
    Completions(completions::Completions),
    /// Writes the manual pages of all subcommands
    Man(man::Man),
    #[command(hide = true)]
    ExecChild(lock::ExecChild),
    #[command(hide = true)]
    GuardChild(lock::GuardChild),
}

const EXAMPLES: &str = "Examples:
  latchd serve                                    durable in ./data, https://127.0.0.1:8443
  latchd serve --in-memory --listen http://127.0.0.1:8080
  latchd serve --config /etc/latchd.toml --listen https://0.0.0.0:8443 --api-key \"$KEY\"
  latchd health --url https://127.0.0.1:8443
  latchd lock nightly --wait 5m -- ./backup.sh    one run at a time, on any machine
  latchd locks --contended                        who holds what others wait for";

/// Runs the chosen subcommand to its end.
pub fn run(cli: Cli) -> ExitCode {
    let code = cli.command.run().unwrap_or_else(|failure| {
        output_queue::note(failure.message);
        failure.code
    });
    output_queue::flush();
    ExitCode::from(code)
}

impl Command {
    fn run(self) -> Result<u8, Failure> {
        let done = match self {
            Command::Health(health) => health.run(),
            Command::Leader(leader) => leader.run(),
            Command::Locks(locks) => locks.run(),
            Command::History(history) => history.run(),
            Command::Sessions(sessions) => sessions.run(),
            Command::Unlock(unlock) => unlock.run(),
            Command::Freeze(freeze) => freeze.run(),
            Command::Thaw(thaw) => thaw.run(),
            Command::Freezes(freezes) => freezes.run(),
            Command::Top(top) => top.run(),
            Command::Watch(watch) => watch.run(),
            Command::Mcp(mcp) => mcp.run(),
            Command::Members(members) => members.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Certs(certs) => certs.run(),
            Command::Keys(keys) => keys.run(),
            Command::Hash(hash) => hash.run(),
            Command::Completions(completions) => completions.run(&Cli::command()),
            Command::Man(man) => man.run(Cli::command()),
            Command::Doctor(doctor) => return doctor.run(),
            Command::Serve(serve) => return Ok(serve.run()),
            Command::Lock(lock) => return lock.run(),
            Command::Elect(elect) => return elect.run(),
            Command::ExecChild(child) => return child.run(),
            Command::GuardChild(guard) => return guard.run(),
        };
        done.map(|()| exit::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In characters, of help that is shown without wrapping.
    const WIDTH_MAX: usize = 121;

    fn check(command: &clap::Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) =
            help.split_once("Examples:\n  ").unwrap_or_else(|| panic!("`{path} --help` has no examples"));
        assert!(examples.contains(path), "no example of `{path} --help` shows it");
        let is_long = |line: &&str| line.chars().count() > WIDTH_MAX;
        assert_eq!(help.lines().find(is_long), None, "a line of `{path} --help` is too long");
        for value in command.get_positionals() {
            assert!(value.get_help().is_some(), "`{path} --help` does not say what {} is", value.get_id());
        }
        assert!(command.get_about().is_some(), "`{path}` does not say what it does");
        for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
            check(subcommand, &format!("{path} {}", subcommand.get_name()));
        }
    }

    #[test]
    fn every_subcommands_help_has_examples() {
        check(&Cli::command(), "latchd");
        Cli::command().debug_assert();
    }
}
