//! What the room promises, through its face; the parts' own bounds beside it.

mod forms;
mod gate;
mod passwords;
mod reload;
mod throttle;
mod verdicts;

use std::{net::IpAddr, time::Duration};

use argon2::{Argon2, Params, PasswordHasher as _};

use super::*;

const HOME: &str = "192.0.2.1";
const START: Duration = Duration::from_secs(100);

fn options() -> AccessOptions {
    AccessOptions {
        may_reload: false,
        anonymous_role: Role::Client,
        failures_per_window: 20,
        window: Duration::from_secs(60),
        max_addresses: 10_000,
        max_verifications: 1,
        max_refused: 1024,
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// Argon2id as weak as it gets: these tests are not about its strength.
fn phc(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let hash = Argon2::from(params).hash_password_with_salt(password.as_bytes(), b"salt of tests");
    hash.unwrap().to_string()
}

fn password(name: &str, secret: &str) -> Credential {
    Credential::PasswordHash { name: name.to_owned(), phc: phc(secret) }
}

fn key(name: &str, secret: &str, role: Role, prefixes: &[&str]) -> Credential {
    Credential::ApiKey(api_key(name, secret, role, prefixes))
}

fn api_key(name: &str, secret: &str, role: Role, prefixes: &[&str]) -> ApiKey {
    let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
    ApiKey { name: name.to_owned(), sha256: digest::sha256(secret), role, prefixes, expires: None }
}

fn plain_password(secret: &str) -> Credential {
    Credential::PlainPassword { name: "command line".to_owned(), secret: secret.to_owned() }
}

fn plain_key(secret: &str) -> Credential {
    Credential::PlainKey { name: "command line".to_owned(), secret: secret.to_owned() }
}

/// Waits for the verdict on this thread, which also does the verifying.
trait Blocking {
    fn check_here(&self, presented: &[&str], from: IpAddr, now: Duration) -> Verdict;
}

impl Blocking for Access {
    fn check_here(&self, presented: &[&str], from: IpAddr, now: Duration) -> Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.check(presented, from, now, || self.work()))
    }
}

fn access(credentials: Vec<Credential>) -> Access {
    Access::new(credentials, options()).unwrap()
}

/// Three failures a minute, then throttled.
fn strict(credentials: Vec<Credential>) -> Access {
    let options = AccessOptions { failures_per_window: 3, max_addresses: 2, ..options() };
    Access::new(credentials, options).unwrap()
}

fn throttled(retry_after_seconds: u32) -> Verdict {
    Verdict::Throttled { retry_after_seconds }
}

/// The name behind a grant; panics on any other verdict.
fn name(verdict: Verdict) -> String {
    match verdict {
        Verdict::Granted(identity) => identity.name.to_string(),
        other => panic!("not granted: {other:?}"),
    }
}
