//! `latchd man`: the help of every subcommand as manual pages, for packages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man as Page;
use clap_mangen::roff::{Roff, roman};

use super::{Failure, output_queue};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Man {
    /// The directory for the pages, one for each subcommand; it is created when missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

const EXAMPLES: &str = "The Debian package has these pages; this is for a binary that was installed by hand.

Examples:
  latchd man /usr/local/share/man/man1 && man latchd-lock
  latchd man pages && man ./pages/latchd-lock.1";

impl Man {
    pub fn run(self, whole: Command) -> Result<(), Failure> {
        fs::create_dir_all(&self.dir).map_err(|error| Failure::unwritable(&self.dir, error))?;
        let mut whole = without_help(whole);
        whole.build();
        let count = write(&whole, &self.dir)?;
        output_queue::report(format!("{}: {count} pages\n", self.dir.display()));
        Ok(())
    }
}

/// `latchd help lock` shows the page of `latchd lock`, and needs none of its own.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Writes the page of a command and those of its subcommands. Returns their number.
fn write(command: &Command, dir: &Path) -> Result<usize, Failure> {
    let page = Page::new(command.clone()).source(concat!("latchd ", env!("CARGO_PKG_VERSION"))).manual("latchd");
    let file = dir.join(page.get_filename());
    rendered(command, &page)
        .and_then(|text| fs::write(&file, text))
        .map_err(|error| Failure::unwritable(&file, error))?;
    let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    shown.map(|subcommand| write(subcommand, dir)).sum::<Result<usize, Failure>>().map(|below| below + 1)
}

fn rendered(command: &Command, page: &Page) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.has_subcommands() {
        page.render_subcommands_section(&mut text)?;
    }
    if let Some(notes) = command.get_after_help() {
        notes_section(&notes.to_string()).to_writer(&mut text)?;
    }
    Ok(text)
}

/// Paragraphs are filled; an indented line, such as an example, stays as it is.
fn notes_section(notes: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["NOTES"]);
    for line in notes.lines() {
        match line {
            "" => roff.control("PP", []),
            line if line.starts_with(' ') => roff.control("nf", []).text([roman(line)]).control("fi", []),
            line => roff.text([roman(line)]),
        };
    }
    roff
}
