//! Makes the hashes that a configuration file holds.

use argon2::{Argon2, PasswordHasher as _};

use super::{AccessError, digest};

/// What [`Credential::PasswordHash`](super::Credential::PasswordHash) takes: argon2id at the library's current
/// cost, with a salt from the operating system. Takes tens of milliseconds.
pub fn hash_password(password: &str) -> Result<String, AccessError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| AccessError::Random { problem: error.to_string() })?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|phc| phc.to_string()).map_err(|error| AccessError::Hashing { problem: error.to_string() })
}

/// The SHA-256 of a key as 64 hexadecimal digits.
pub fn hash_key(key: &str) -> String {
    digest::sha256(key).iter().map(|byte| format!("{byte:02x}")).collect()
}
