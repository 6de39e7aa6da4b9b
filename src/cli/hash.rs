//! `latchd hash`: hashes a password or a key for the configuration file.

use std::io::Read;

use clap::{Args, ValueEnum};

use super::Failure;
use super::output::write;
use crate::access::{hash_key, hash_password};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Hash {
    /// What is read from stdin
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Prints the argon2id string for access.passwords
    Password,
    /// Prints the SHA-256 for access.keys
    Key,
}

const EXAMPLES: &str = "The secret is read from stdin, so that it is in no list of processes and in no shell history.

Examples:
  printf %s \"$PASSWORD\" | latchd hash password
  openssl rand -hex 32 | tee key.txt | latchd hash key";

impl Hash {
    pub fn run(self) -> Result<(), Failure> {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|error| format!("stdin cannot be read: {error}"))?;
        // `echo` and editors add a line end.
        let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if secret.is_empty() {
            return Err("nothing to hash: give the password or key on stdin".to_owned().into());
        }
        let hash = match self.kind {
            Kind::Password => hash_password(secret).map_err(Failure::from_error)?,
            Kind::Key => hash_key(secret),
        };
        write(&format!("{hash}\n"))
    }
}
