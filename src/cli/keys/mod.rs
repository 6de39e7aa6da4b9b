//! `latchd keys`: makes, lists and takes away API keys in the file of `access.keys_file`.

mod edit;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::output::{NOTHING, Output, Table, print, write};
use super::{Failure, output_queue};
use crate::access::{Role, hash_key};
use crate::config::access::KeyConfig;
use crate::config::keys_file;
use edit::{Editing, Entry};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes a key, adds its hash to the file, and prints the key once
    #[command(after_help = NEW)]
    New(New),
    /// Shows the keys of the file, and when they end
    #[command(after_help = LIST)]
    List(List),
    /// Takes a key out of the file: it ends at once where the file is in use
    #[command(after_help = REMOVE)]
    Remove(Remove),
}

#[derive(Debug, Args)]
struct InFile {
    /// The file of access.keys_file; `new` makes it when missing
    #[arg(long, value_name = "FILE", default_value = "keys.toml", env = "LATCHD_ACCESS_KEYS_FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct New {
    /// Who has the key: for logs, and for sessions, which the next key of this name may use
    name: String,
    /// What the key may do
    #[arg(long, value_enum, default_value_t = KeyRole::Client)]
    role: KeyRole,
    /// Only names of locks that begin with this; may be given several times
    #[arg(long, value_name = "TEXT")]
    prefix: Vec<String>,
    /// When the key ends: a duration such as 90d, a date, or a time such as 2027-01-31T12:00:00Z. Never unless given
    #[arg(long, value_name = "WHEN", value_parser = keys_file::coming_end)]
    expires: Option<u64>,
    /// Words for people
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    #[command(flatten)]
    place: InFile,
}

#[derive(Debug, Args)]
struct List {
    /// The form of the answer
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    place: InFile,
}

#[derive(Debug, Args)]
struct Remove {
    /// The name of the key
    name: String,
    #[command(flatten)]
    place: InFile,
}

/// The roles, as the file names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyRole {
    /// Takes, renews and releases locks, and reads
    Client,
    /// Everything
    Admin,
    /// Reads only
    ReadOnly,
}

const EXAMPLES: &str = "The file has hashes only. A server whose access.keys_file it is reads it again while it runs.
Give all nodes of a cluster the same file.

Examples:
  latchd keys new ci --prefix build/ --expires 90d > ci.key
  latchd keys list
  latchd keys remove ci";

const NEW: &str = "The key goes to stdout and is kept nowhere; the rest goes to stderr.

Examples:
  latchd keys new ci --prefix build/ --expires 90d > ci.key
  latchd keys new ops --role admin --file /etc/latchd/keys.toml
  latchd keys new dashboard --role read-only --expires 2027-01-31 --comment \"the wall in room 7\"";

const LIST: &str = "With --output json, a list with name, role, prefixes, expires, created, comment and expired.

Examples:
  latchd keys list
  latchd keys list --file /etc/latchd/keys.toml --output json";

const REMOVE: &str = "What the key holds stays until its lease or session ends, or `latchd unlock --force` ends it.

Examples:
  latchd keys remove ci";

/// Random bytes of a key: nobody guesses it.
const KEY_BYTES: usize = 32;
/// Names are in log lines and columns.
const NAME_CHARACTERS_MAX: usize = 64;

impl Keys {
    pub fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::New(new) => new.run(),
            Action::List(list) => list.run(),
            Action::Remove(remove) => remove.run(),
        }
    }
}

impl From<KeyRole> for Role {
    fn from(role: KeyRole) -> Role {
        match role {
            KeyRole::Client => Role::Client,
            KeyRole::Admin => Role::Admin,
            KeyRole::ReadOnly => Role::ReadOnly,
        }
    }
}

impl New {
    fn run(self) -> Result<(), Failure> {
        check_name(&self.name)?;
        let mut random = [0; KEY_BYTES];
        getrandom::fill(&mut random).map_err(Failure::from_error)?;
        let key = random.iter().fold("latchd_".to_owned(), |key, byte| key + &format!("{byte:02x}"));
        let created = keys_file::written(keys_file::now());
        let mut editing = Editing::begin(&self.place.file, true)?;
        editing.add(&Entry {
            name: &self.name,
            sha256: &hash_key(&key),
            role: Role::from(self.role).as_str(),
            prefixes: &self.prefix,
            expires: self.expires.map(keys_file::written),
            created: &created,
            comment: &self.comment,
        })?;
        editing.save()?;
        // Nobody could be given a key that was not printed.
        if let Err(failure) = write(&format!("{key}\n")) {
            let undone = Editing::begin(&self.place.file, false)
                .and_then(|mut editing| editing.remove(&self.name).and_then(|()| editing.save()));
            return undone.and(Err(failure));
        }
        let (name, file) = (&self.name, self.place.file.display());
        let until =
            self.expires.map_or("without an end".to_owned(), |end| format!("until {}", keys_file::written(end)));
        output_queue::note(format!("added {name:?} to {file}, {until}; stdout has the key, which is kept nowhere"));
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = !name.is_empty() && name.chars().all(|one| !one.is_control() && !one.is_whitespace());
    if is_plain && name.chars().count() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    Err(Failure::usage(format!("a name has 1 to {NAME_CHARACTERS_MAX} characters, without spaces")))
}

/// A key as `--output json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    role: &'static str,
    prefixes: &'a [String],
    expires: Option<String>,
    created: Option<String>,
    comment: &'a str,
    expired: bool,
}

impl<'a> Shown<'a> {
    fn of(key: &'a KeyConfig, now: u64) -> Self {
        Shown {
            name: &key.name,
            role: key.role.as_str(),
            prefixes: &key.prefixes,
            expires: key.expires.map(keys_file::written),
            created: key.created.map(keys_file::written),
            comment: &key.comment,
            expired: key.expires.is_some_and(|end| end <= now),
        }
    }
}

impl List {
    fn run(self) -> Result<(), Failure> {
        let (keys, now) = (edit::keys(&self.place.file)?, keys_file::now());
        let shown: Vec<Shown<'_>> = keys.iter().map(|key| Shown::of(key, now)).collect();
        let mut table = Table::new(&["NAME", "ROLE", "PREFIXES", "EXPIRES", "LEFT", "COMMENT"]);
        for (key, shown) in keys.iter().zip(&shown) {
            let prefixes = or_nothing(shown.prefixes.join(" "));
            let expires = shown.expires.clone().unwrap_or_else(|| "never".to_owned());
            table.row(&[
                &shown.name,
                &shown.role,
                &prefixes,
                &expires,
                &left(key.expires, now),
                &or_nothing(shown.comment.to_owned()),
            ]);
        }
        print(self.output, &shown, &table)
    }
}

fn or_nothing(text: String) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text }
}

fn left(expires: Option<u64>, now: u64) -> String {
    match expires {
        None => NOTHING.to_owned(),
        Some(end) if end <= now => "expired".to_owned(),
        Some(end) => super::output::Span((end - now) as f64).to_string(),
    }
}

impl Remove {
    fn run(self) -> Result<(), Failure> {
        let mut editing = Editing::begin(&self.place.file, false)?;
        editing.remove(&self.name)?;
        editing.save()?;
        let (name, file) = (&self.name, self.place.file.display());
        output_queue::note(format!("took {name:?} out of {file}"));
        Ok(())
    }
}
