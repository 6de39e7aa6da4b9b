//! Credentials as configured, checked once, and turned into what the checker holds; and the hashes that a configuration
//! file has of them.

use std::fmt;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, Version,
    password_hash::{self, PasswordVerifier as _, phc::PasswordHash},
};

use tokio::sync::watch;

use super::{
    digest::{Sha256Digest, sha256},
    ending::Ending,
    identity::{Identity, Role},
    key_ring::PreparedKey,
    options::AccessError,
};

/// A verification may take so much memory; more is a mistake in the hash, or an attack by it.
const MAX_PASSWORD_MEMORY_KIB: u32 = 256 * 1024;
/// Shorter hashes could be hit by another password.
const MIN_PASSWORD_HASH_BYTES: usize = 16;

/// An API key, as its hash.
#[derive(Clone)]
pub struct ApiKey {
    /// For people and logs. Whatever key goes with it, it is one caller.
    pub name: String,
    pub sha256: [u8; 32],
    pub role: Role,
    pub prefixes: Vec<String>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
}

/// Something that opens the service. `name` is for people and logs.
#[derive(Clone)]
pub enum Credential {
    /// An API key of the configuration.
    ApiKey(ApiKey),
    /// An argon2id hash as a PHC string (`$argon2id$v=19$...`), with the admin role.
    PasswordHash { name: String, phc: String },
    /// From the command line, with the admin role: kept as its digest.
    PlainKey { name: String, secret: String },
    /// From the command line, with the admin role: hashed at once as those of the file are.
    PlainPassword { name: String, secret: String },
}

impl Credential {
    pub fn name(&self) -> &str {
        match self {
            Credential::ApiKey(ApiKey { name, .. })
            | Credential::PasswordHash { name, .. }
            | Credential::PlainKey { name, .. }
            | Credential::PlainPassword { name, .. } => name,
        }
    }

    /// Whether it is found by its digest, and not by verifying a hash.
    pub(super) fn is_key(&self) -> bool {
        matches!(self, Credential::ApiKey(_) | Credential::PlainKey { .. })
    }

    /// Who it makes the caller, and how its secret is recognised.
    pub(super) fn prepare(self, changes: &watch::Sender<()>) -> Result<(Identity, Proof), AccessError> {
        match self {
            Credential::ApiKey(key) => {
                let ending = key.expires.map(|expires| Ending::new(Some(expires), changes.subscribe()));
                let PreparedKey { digest, identity } = key.prepare(ending)?;
                Ok((identity, Proof::Key(digest)))
            }
            Credential::PasswordHash { name, phc } => {
                let problem = |problem| AccessError::PasswordHash { name: name.clone(), problem };
                let hash = Password::parse(&phc).map_err(problem)?;
                let identity = Identity::from_secret(&phc, &name);
                Ok((identity, Proof::Password { hash: Box::new(hash), plain: None }))
            }
            Credential::PlainKey { name, secret } => {
                let identity = Identity::from_secret(&name, &name);
                Ok((identity, Proof::Key(not_empty(&name, sha256(&secret))?)))
            }
            Credential::PlainPassword { name, secret } => {
                let plain = not_empty(&name, sha256(&secret))?;
                let problem = |problem| AccessError::PasswordHash { name: name.clone(), problem };
                let hash = Box::new(Password::parse(&hash_password(&secret)?).map_err(problem)?);
                let identity = Identity::from_secret(&name, &name);
                Ok((identity, Proof::Password { hash, plain: Some(plain) }))
            }
        }
    }
}

impl ApiKey {
    pub(super) fn prepare(self, ending: Option<Ending>) -> Result<PreparedKey, AccessError> {
        let ApiKey { name, sha256, role, prefixes, .. } = self;
        let digest = not_empty(&name, sha256)?;
        Ok(PreparedKey { digest, identity: Identity::until(&name, role, &prefixes, ending) })
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({:?}, ..)", self.name)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}, ..)", self.name())
    }
}

pub(super) enum Proof {
    Key(Sha256Digest),
    Password {
        hash: Box<Password>,
        /// Where the secret itself was given: to find it given twice.
        plain: Option<Sha256Digest>,
    },
}

impl Proof {
    /// The digest of the secret, where it is known.
    pub(super) fn digest(&self) -> Option<Sha256Digest> {
        match self {
            Proof::Key(digest) => Some(*digest),
            Proof::Password { plain, .. } => *plain,
        }
    }
}

fn not_empty(name: &str, digest: Sha256Digest) -> Result<Sha256Digest, AccessError> {
    if digest == sha256("") { Err(AccessError::Empty { name: name.to_owned() }) } else { Ok(digest) }
}

pub(super) struct Password(PasswordHash);

impl Password {
    fn parse(phc: &str) -> Result<Password, String> {
        let hash = PasswordHash::new(phc).map_err(|error| error.to_string())?;
        if Algorithm::try_from(hash.algorithm.as_str()) != Ok(Algorithm::Argon2id) {
            return Err(format!("it must be argon2id, not {}", hash.algorithm));
        }
        if let Some(version) = hash.version {
            Version::try_from(version).map_err(|error| error.to_string())?;
        }
        if hash.salt.is_none() {
            return Err("it has no salt".to_owned());
        }
        let length = hash.hash.map_or(0, |output| output.len());
        if length < MIN_PASSWORD_HASH_BYTES {
            return Err(format!("its hash is {length} bytes long, and at least {MIN_PASSWORD_HASH_BYTES} are needed"));
        }
        let params = Params::try_from(&hash).map_err(|error| error.to_string())?;
        if params.m_cost() > MAX_PASSWORD_MEMORY_KIB {
            return Err(format!(
                "it asks for {} KiB of memory (m), and at most {MAX_PASSWORD_MEMORY_KIB} are allowed",
                params.m_cost()
            ));
        }
        Ok(Password(hash))
    }

    /// `None`: it could not be found out (no memory). Slow by design.
    pub(super) fn verify(&self, secret: &str) -> Option<bool> {
        match Argon2::default().verify_password(secret.as_bytes(), &self.0) {
            Ok(()) => Some(true),
            Err(password_hash::Error::PasswordInvalid) => Some(false),
            Err(_) => None,
        }
    }
}

/// What [`Credential::PasswordHash`] takes: argon2id at the library's current
/// cost, with a salt from the operating system. Takes tens of milliseconds.
pub fn hash_password(password: &str) -> Result<String, AccessError> {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| AccessError::Random { problem: error.to_string() })?;
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|phc| phc.to_string()).map_err(|error| AccessError::Hashing { problem: error.to_string() })
}

/// The SHA-256 of a key as 64 hexadecimal digits.
pub fn hash_key(key: &str) -> String {
    crate::base::codec::hex(&sha256(key))
}
