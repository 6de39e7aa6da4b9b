//! A caller, once known: a name for the logs, a role, and the lock names it is limited to, in what it may do and be shown.

use super::digest::{Sha256Digest, sha256};
use super::ending::Ending;
use super::reserved_names::ANONYMOUS;
use serde::Deserialize;
use std::{ops::Deref, sync::Arc};

/// What a caller may do, before prefixes narrow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes, renews and releases locks, and reads.
    Client,
    /// Everything: also force releases, and sees keys and tokens.
    Admin,
    /// Reads only.
    ReadOnly,
}

/// A recognised caller. Cheap to clone: one reference count, because every request on every core takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Arc<IdentityData>);

/// What an [`Identity`] stands for.
#[derive(Debug)]
pub struct IdentityData {
    pub name: Arc<str>,
    pub role: Role,
    /// Identifies its credential in the lock table, which keeps the sessions and holds of credentials apart. The same on
    /// every node, and for the next key of this name. 0 for a caller without a credential.
    pub credential: u64,
    /// The scope of its idempotency keys.
    scope: Box<[u8]>,
    /// Empty: every name.
    prefixes: Box<[Box<str>]>,
    /// `None`: it lasts as long as the process.
    ending: Option<Ending>,
}

impl PartialEq for IdentityData {
    fn eq(&self, other: &IdentityData) -> bool {
        let expires = |one: &IdentityData| one.ending.as_ref().and_then(Ending::expires);
        self.is_caller_of(other) && expires(self) == expires(other)
    }
}

impl Eq for IdentityData {}

impl IdentityData {
    pub(super) fn has_rights_of(&self, other: &IdentityData) -> bool {
        self.role == other.role && self.prefixes == other.prefixes
    }

    /// The same caller with the same rights.
    pub(super) fn is_caller_of(&self, other: &IdentityData) -> bool {
        let same = self.credential == other.credential && self.name == other.name && self.scope == other.scope;
        same && self.has_rights_of(other)
    }
}

impl Role {
    /// As the configuration calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Admin => "admin",
            Role::ReadOnly => "read-only",
        }
    }
}

impl Deref for Identity {
    type Target = IdentityData;

    fn deref(&self) -> &IdentityData {
        &self.0
    }
}

impl Identity {
    /// The caller that an API key makes: its name stands for it, whatever key goes with it.
    pub fn new(name: &str, role: Role, prefixes: &[String]) -> Identity {
        Identity::until(name, role, prefixes, None)
    }

    /// The same for a key that may end while the process runs.
    pub fn until(name: &str, role: Role, prefixes: &[String], ending: Option<Ending>) -> Identity {
        Identity::known(name, role, prefixes, Identity::credential_of_key(name), name.as_bytes(), ending)
    }

    /// What identifies the API key of this name, or the client certificates that are mapped to it, in the lock table.
    pub fn credential_of_key(name: &str) -> u64 {
        number(&sha256(&format!("latchd key {name}")))
    }

    /// The admin with a credential without a name of its own, identified by `what`. The numbers in such names may change,
    /// so idempotency keys are scoped to `what` instead.
    pub(super) fn from_secret(what: &str, name: &str) -> Identity {
        let digest = sha256(&format!("latchd credential {what}"));
        Identity::known(name, Role::Admin, &[], number(&digest), &digest, None)
    }

    /// The caller of a server without credentials.
    pub fn anonymous(role: Role) -> Identity {
        Identity::known(ANONYMOUS, role, &[], 0, ANONYMOUS.as_bytes(), None)
    }

    /// The caller that an identity token makes. Issuer, subject and rule stand for it, so that sessions that were opened with
    /// one token can be used with the next.
    pub(super) fn from_token(
        [issuer, subject, rule]: [&str; 3],
        name: &str,
        role: Role,
        prefixes: &[String],
        ending: Ending,
    ) -> Identity {
        let lengths = format!("{} {}", issuer.len(), subject.len());
        let digest = sha256(&format!("latchd identity token {lengths} {issuer} {subject} {rule}"));
        Identity::known(name, role, prefixes, number(&digest), &digest, Some(ending))
    }

    fn known(
        name: &str,
        role: Role,
        prefixes: &[String],
        credential: u64,
        scope: &[u8],
        ending: Option<Ending>,
    ) -> Identity {
        let prefixes = prefixes.iter().map(|prefix| prefix.as_str().into()).collect();
        Identity(Arc::new(IdentityData { name: name.into(), role, credential, scope: scope.into(), prefixes, ending }))
    }

    /// The same caller with another end.
    pub(super) fn with(&self, ending: Ending) -> Identity {
        let IdentityData { name, role, credential, scope, prefixes, .. } = &*self.0;
        let (name, scope, prefixes) = (Arc::clone(name), scope.clone(), prefixes.clone());
        let data = IdentityData { name, role: *role, credential: *credential, scope, prefixes, ending: Some(ending) };
        Identity(Arc::new(data))
    }

    /// How its credential may end; `None` where it cannot.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Whether its credential is still valid.
    pub fn is_valid(&self) -> bool {
        self.ending.as_ref().is_none_or(|ending| !ending.has_come())
    }

    /// Clones share it, and no other identity that lives has it.
    pub(super) fn address(&self) -> *const IdentityData {
        Arc::as_ptr(&self.0)
    }

    pub fn scope(&self) -> &[u8] {
        &self.scope
    }

    /// No credential is configured.
    pub fn is_anonymous(&self) -> bool {
        self.credential == 0
    }

    /// May take, renew and release (its own holds of) this lock.
    pub fn may_take(&self, lock_name: &str) -> bool {
        self.may_write() && self.covers(lock_name)
    }

    pub fn may_read(&self, lock_name: &str) -> bool {
        self.covers(lock_name)
    }

    /// May end other people's holds of this lock and see their keys.
    pub fn may_administer(&self, lock_name: &str) -> bool {
        self.is_admin() && self.covers(lock_name)
    }

    /// May change anything at all, such as open a session, which names no lock yet.
    pub fn may_write(&self) -> bool {
        match self.role {
            Role::Client | Role::Admin => true,
            Role::ReadOnly => false,
        }
    }

    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// The prefixes that narrow this caller; none: every name.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(|prefix| &**prefix)
    }

    /// No prefix narrows this caller.
    pub fn sees_every_name(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// The prefixes under which lie all names that start with `asked` and that this caller may see: none inside
    /// another, in order. `asked` itself where the caller is not limited; none where it may see nothing of it.
    pub fn prefixes_under(&self, asked: &str) -> Vec<String> {
        if self.sees_every_name() {
            return vec![asked.to_owned()];
        }
        let narrow = |own: &str| match (own.starts_with(asked), asked.starts_with(own)) {
            (true, _) => Some(own.to_owned()),
            (false, true) => Some(asked.to_owned()),
            (false, false) => None,
        };
        let mut found: Vec<String> = self.prefixes.iter().filter_map(|own| narrow(own)).collect();
        found.sort();
        // What starts with an earlier one lies inside it; sorted, it comes right after.
        found.dedup_by(|later, earlier| later.starts_with(earlier.as_str()));
        found
    }

    fn covers(&self, lock_name: &str) -> bool {
        let mut prefixes = self.prefixes.iter();
        self.prefixes.is_empty() || prefixes.any(|prefix| lock_name.starts_with(&**prefix))
    }
}

/// Never 0, which means no credential.
fn number(digest: &Sha256Digest) -> u64 {
    let (first, _) = digest.split_first_chunk().expect("eight of thirty-two bytes");
    u64::from_be_bytes(*first).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_caller_sees_intersection_of_prefixes() {
        let prefixes = ["ops/", "build/", "build/app/"].map(String::from);
        let caller = Identity::new("ci", Role::Client, &prefixes);
        assert!(!caller.sees_every_name());
        assert_eq!(caller.prefixes_under(""), ["build/", "ops/"]);
        assert_eq!(caller.prefixes_under("build/app/7"), ["build/app/7"]);
        assert_eq!(caller.prefixes_under("b"), ["build/"]);
        assert!(caller.prefixes_under("secret/").is_empty());
    }

    #[test]
    fn unlimited_caller_sees_every_prefix_asked() {
        let caller = Identity::anonymous(Role::Client);
        assert!(caller.sees_every_name());
        assert_eq!(caller.prefixes_under(""), [""]);
        assert_eq!(caller.prefixes_under("x"), ["x"]);
    }
}
