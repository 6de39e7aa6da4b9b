//! `latchd unlock`: releases a hold by its key, or ends holds of other clients by force.

use clap::Args;
use serde::Serialize;

use super::Failure;
use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::output::{Output, holder, report};
use crate::client::{Client, ForcedRelease, Holder, printable};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Unlock {
    /// The lock; with --key all of a hold of several, in any order
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// The key of the hold, as its owner was given it (LATCHD_LOCK_KEY under `latchd lock`)
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Ends a hold of another client; needs the admin role
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why; the service writes it to its log with your name
    #[arg(long, value_name = "TEXT", requires = "force")]
    reason: Option<String>,
    /// With --force: ends all holds of a lock that has several
    #[arg(long, requires = "force", conflicts_with = "key")]
    all: bool,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
Whoever held the lock is not asked and may not notice: only a resource that compares fencing tokens refuses it from then
on. A lock with several holds needs --key, for the one to end, or --all. A hold of several locks ends in all of them.

With --output json: {\"name\", \"released\": [{\"fencing_token\", \"waiter_granted\"}]}, one for each hold that was ended;
both are null for a hold that was released by its key. \"name\" is the first that was given; a hold of several locks that
was ended by force has its \"names\", too.

Examples:
  latchd unlock nightly --key 6f0c2b1e-8a54-4f0e-9d53-0b1b9f3c2a10
  latchd unlock accounts/7 accounts/9 --key \"$LATCHD_LOCK_KEY\"
  latchd unlock deploy/production --force --reason 'web-1 is gone, OPS-7'
  latchd unlock gpu --force --all --reason 'the rack is off'
  latchd unlock --force --reason 'a test' -- -x    a name that begins with a hyphen";

#[derive(Serialize)]
struct Answer {
    name: String,
    released: Vec<Ended>,
}

/// A hold that was ended, as far as it is known.
#[derive(Serialize)]
struct Ended {
    fencing_token: Option<u64>,
    waiter_granted: Option<bool>,
    /// Those of a hold of several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

impl Unlock {
    pub fn run(self) -> Result<(), Failure> {
        if self.key.is_none() && !self.force {
            let own = "--key <KEY> to release a hold of your own";
            let other = "--force --reason <TEXT> to end one of somebody else (needs the admin role)";
            return Err(Failure::usage(format!("say how to unlock {:?}: {own}, or {other}", printable(self.name()))));
        }
        if self.force && self.names.len() > 1 {
            return Err(Failure::usage("--force goes with one name: of a hold of several locks, any of them will do"));
        }
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let released = block_on(async {
            match (&self.reason, &self.key) {
                (Some(reason), key) => self.force(&client, reason, key.as_deref()).await,
                (None, Some(key)) => release(&client, &self.names, key).await,
                (None, None) => Err("--key or --force is needed".to_owned().into()),
            }
        })?;
        let answer = Answer { name: self.name().to_owned(), released };
        report(self.output, &answer, &sentences(&answer));
        Ok(())
    }

    fn name(&self) -> &str {
        self.names.first().map(String::as_str).unwrap_or_default()
    }

    async fn force(&self, client: &Client, reason: &str, key: Option<&str>) -> Result<Vec<Ended>, Failure> {
        let keys = match key {
            Some(key) => vec![key.to_owned()],
            None => self.keys(client).await?,
        };
        let mut released = Vec::new();
        for key in keys {
            match client.force_release(self.name(), &key, reason).await {
                Ok(ForcedRelease { fencing_token, waiter_granted, names, .. }) => {
                    let (fencing_token, waiter_granted) = (Some(fencing_token), Some(waiter_granted));
                    released.push(Ended { fencing_token, waiter_granted, names });
                }
                // It ended by itself meanwhile.
                Err(error) if self.all && error.is_no_such_hold() => {}
                Err(error) => return Err(explain(error)),
            }
        }
        Ok(released)
    }

    /// The keys of the holds to end.
    async fn keys(&self, client: &Client) -> Result<Vec<String>, Failure> {
        let shown = printable(self.name());
        let lock = client.show_lock(self.name()).await.map_err(explain)?;
        let holders = lock.map(|lock| lock.holders).unwrap_or_default();
        match holders.as_slice() {
            [] => return Err(format!("nobody holds {shown:?}").into()),
            [_] => {}
            _ if self.all => {}
            several => return Err(format!("{shown:?} has {} holds: {}", several.len(), choices(several)).into()),
        }
        let keys: Option<Vec<String>> = holders.into_iter().map(|hold| hold.key).collect();
        keys.ok_or_else(|| format!("to end a hold of {shown:?} needs the admin role").into())
    }
}

fn choices(holders: &[Holder]) -> String {
    let line = |hold: &Holder| {
        let key = hold.key.as_deref().unwrap_or("(shown to admins)");
        format!("\n  {}", printable(&format!("--key {key}   token {}, {}", hold.fencing_token, holder(hold))))
    };
    format!("end all of them with --all, or choose one:{}", holders.iter().map(line).collect::<String>())
}

/// Releases a hold in a session of its own, which the key permits.
async fn release(client: &Client, names: &[String], key: &str) -> Result<Vec<Ended>, Failure> {
    client.open_session().await.map_err(explain)?;
    let unlocked = client.unlock_all(names, &dashed(key)).await;
    // A failure is harmless: the session holds nothing and expires.
    let _ = client.close_session().await;
    match unlocked.map_err(explain)?.error {
        None => Ok(vec![Ended { fencing_token: None, waiter_granted: None, names: Vec::new() }]),
        Some(error) => {
            let (name, why) = (printable(&names.join(", ")), printable(&error.message));
            Err(format!("{name:?} was not unlocked: {why}; it may have been released or have expired").into())
        }
    }
}

/// A key of any dialect in the form of sessions v1.
fn dashed(key: &str) -> String {
    let hex = key.split('.').next().unwrap_or(key);
    match uuid::Uuid::try_parse(hex) {
        Ok(uuid) if hex.len() == 32 => uuid.hyphenated().to_string(),
        _ => key.to_owned(),
    }
}

fn sentences(answer: &Answer) -> String {
    let name = printable(&answer.name);
    let sentence = |ended: &Ended| {
        let token = ended.fencing_token.map(|token| format!(" (fencing token {token})")).unwrap_or_default();
        let next = if ended.waiter_granted == Some(true) { "; the next waiter holds it now" } else { "" };
        match &*ended.names {
            [] => format!("{name} is released{token}{next}\n"),
            names => format!("{} are released together{token}{next}\n", printable(&names.join(", "))),
        }
    };
    match answer.released.as_slice() {
        [] => format!("{name} was released meanwhile\n"),
        released => released.iter().map(sentence).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_recognised_in_every_dialects_form() {
        let dashes = "9e2c0102-0304-0506-0708-090a0b0c0d0e";
        for key in [dashes, "9e2c0102030405060708090a0b0c0d0e", "9e2c0102030405060708090a0b0c0d0e.bmlnaHRseQ"] {
            assert_eq!(dashed(key), dashes);
        }
        assert_eq!(dashed("nonsense"), "nonsense");
    }
}
