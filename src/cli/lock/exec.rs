//! The last step before the command: a process of its own that ties its life to the parent's, waits until the lock is
//! held, then becomes the command.
//!
//! It exists because what it does has to happen in the new process before the command runs, where safe code of the
//! parent cannot reach. It is started first of all, so that the command has the signal mask and the dispositions of
//! whoever called `latchd lock`, whatever the parent does to its own meanwhile.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;
use nix::sys::signal::{SigSet, Signal as Blockable};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::super::{Failure, code};

/// Between the variables that the parent sends.
pub(super) const SEPARATOR: u8 = 0;

/// Not for people: `latchd lock` starts it.
#[derive(Debug, Args)]
pub struct ExecChild {
    /// Whose end is to be this process's end too
    #[arg(long)]
    parent: i32,
    /// The pipe through which the parent sends the variables of the hold; its end without any ends this process
    #[arg(long)]
    pipe: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl ExecChild {
    /// Returns where there is no command to become.
    pub fn run(self) -> Result<u8, Failure> {
        let os = |message: String| Failure::new(code::OS_ERROR, message);
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| os(format!("the command cannot be tied to this process: {error}")))?;
        // The parent may have ended before the signal was asked for.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            return Ok(code::OS_ERROR);
        }
        let variables =
            self.variables().map_err(|error| os(format!("the pipe of the hold cannot be read: {error}")))?;
        match self.command.split_first() {
            Some((program, arguments)) if !variables.is_empty() => {
                let error = Command::new(program).args(arguments).envs(variables).exec();
                // For the command it was to be as usual; this process has something to say yet.
                let mut broken_pipe = SigSet::empty();
                broken_pipe.add(Blockable::SIGPIPE);
                broken_pipe.thread_block().map_err(|error| os(error.to_string()))?;
                Err(refused(program, &error))
            }
            // The lock was not to be had, which the parent says.
            _ => Ok(code::NOT_ACQUIRED),
        }
    }

    /// What the parent sends when the lock is held; nothing if it never is.
    fn variables(&self) -> std::io::Result<Vec<(String, String)>> {
        let mut pipe = File::open(format!("/proc/self/fd/{}", self.pipe))?;
        // The one that was inherited would be inherited by the command too.
        nix::unistd::close(self.pipe)?;
        let mut text = String::new();
        pipe.read_to_string(&mut text)?;
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(text.split(char::from(SEPARATOR)).filter_map(pair).collect())
    }
}

fn refused(program: &OsString, error: &std::io::Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::NotFound => code::NOT_FOUND,
        _ => code::NOT_EXECUTABLE,
    };
    Failure::new(code, format!("{} cannot be run: {error}", program.to_string_lossy()))
}
