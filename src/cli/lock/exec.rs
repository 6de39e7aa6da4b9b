//! The last step before the command: a process of its own that ties its life to the parent's, then becomes the command.
//!
//! It exists because what it does has to happen in the new process before the command runs, where safe code of the
//! parent cannot reach.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use clap::Args;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::code;

/// Not for people: `latchd lock` starts it.
#[derive(Debug, Args)]
pub struct ExecChild {
    /// Whose end is to be this process's end too
    #[arg(long)]
    parent: i32,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl ExecChild {
    pub fn run(self) -> ExitCode {
        if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
            eprintln!("latchd: the command cannot be tied to this process: {error}");
            return ExitCode::from(code::OS_ERROR);
        }
        // The parent may have ended before the signal was asked for.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            return ExitCode::from(code::OS_ERROR);
        }
        let Some((program, arguments)) = self.command.split_first() else {
            return ExitCode::from(code::NOT_FOUND);
        };
        let error = Command::new(program).args(arguments).exec();
        eprintln!("latchd: {} cannot be run: {error}", program.to_string_lossy());
        ExitCode::from(match error.kind() {
            ErrorKind::NotFound => code::NOT_FOUND,
            _ => code::NOT_EXECUTABLE,
        })
    }
}
