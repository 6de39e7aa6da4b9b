//! `latchd completions`: what a shell needs to complete our command lines.

use clap::{Args, ValueEnum};
use clap_complete::{Generator as _, aot};

use super::output::write;
use super::{Failure, told};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell that will read it
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const EXAMPLES: &str = "The script goes to stdout; where shells look for it:

Examples:
  latchd completions bash > ~/.local/share/bash-completion/completions/latchd
  latchd completions zsh > \"${fpath[1]}/_latchd\"
  latchd completions fish > ~/.config/fish/completions/latchd.fish
  source <(latchd completions bash)                                     for this shell only";

/// Where a script for bash begins to look for what fits.
const BASH_BEGIN: &str = "    COMPREPLY=()\n";
/// What follows `--` is a name, or somebody else's command: bash offers files then.
const BASH_END_OF_OPTIONS: &str = "    for i in \"${COMP_WORDS[@]:0:COMP_CWORD}\"; do
        if [[ \"$i\" == \"--\" ]]; then return 0; fi
    done
";

impl Completions {
    /// `whole` is the command line that is completed.
    pub fn run(self, whole: &clap::Command) -> Result<(), Failure> {
        let command = shown(whole);
        let mut script = Vec::new();
        match self.shell {
            Shell::Bash => aot::Bash.generate(&command, &mut script),
            Shell::Zsh => aot::Zsh.generate(&command, &mut script),
            Shell::Fish => aot::Fish.generate(&command, &mut script),
        }
        let script = String::from_utf8(script).map_err(told)?;
        match self.shell {
            Shell::Bash => write(&script.replacen(BASH_BEGIN, &format!("{BASH_BEGIN}{BASH_END_OF_OPTIONS}"), 1)),
            // These two know by themselves.
            Shell::Zsh | Shell::Fish => write(&script),
        }
    }
}

/// The command line without what only this program calls.
fn shown(whole: &clap::Command) -> clap::Command {
    let shown = whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    let mut command = clap::Command::new("latchd").version(env!("CARGO_PKG_VERSION")).subcommands(shown);
    command.set_bin_name("latchd");
    command.build();
    command
}
