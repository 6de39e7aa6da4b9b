//! `latchd completions`: scripts that complete command lines in a shell.

use clap::Args;
use clap_complete::{Generator as _, Shell};

use super::Failure;
use super::output::write;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Completions {
    /// The shell that will read it
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

const EXAMPLES: &str = "The script goes to stdout; where shells look for it:

Examples:
  latchd completions bash > ~/.local/share/bash-completion/completions/latchd
  latchd completions zsh > \"${fpath[1]}/_latchd\"
  latchd completions fish > ~/.config/fish/completions/latchd.fish
  source <(latchd completions bash)                                     for this shell only";

/// The start of the completion function in the script for bash.
const BASH_BEGIN: &str = "    COMPREPLY=()\n";
/// Behind `--` is a name or another command, so bash offers files. The other shells do this themselves.
const BASH_END_OF_OPTIONS: &str = "    for i in \"${COMP_WORDS[@]:0:COMP_CWORD}\"; do
        if [[ \"$i\" == \"--\" ]]; then return 0; fi
    done
";

impl Completions {
    pub fn run(self, whole: &clap::Command) -> Result<(), Failure> {
        let shell: Shell = self.shell.parse().map_err(Failure::usage)?;
        let mut script = Vec::new();
        shell.generate(&shown(whole), &mut script);
        let script = String::from_utf8(script).map_err(Failure::from_error)?;
        match shell {
            Shell::Bash => write(&script.replacen(BASH_BEGIN, &format!("{BASH_BEGIN}{BASH_END_OF_OPTIONS}"), 1)),
            _ => write(&script),
        }
    }
}

/// The command line without the hidden subcommands.
fn shown(whole: &clap::Command) -> clap::Command {
    let shown = whole.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned();
    let mut command = clap::Command::new("latchd").version(env!("CARGO_PKG_VERSION")).subcommands(shown);
    command.set_bin_name("latchd");
    command.build();
    command
}
