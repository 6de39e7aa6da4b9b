//! Credentials that come and go while the process runs: keys, and what certificates are mapped to.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::watch;

use super::{
    certificate::{CertificateRule, ClientCertificate},
    checker::Access,
    credential::ApiKey,
    ending::Ending,
    identity::Identity,
    key_ring::{KeyRing, PreparedKey, PreparedRule, accept_twin, check_names},
    options::AccessError,
    reserved_names::{ANONYMOUS, TOKEN},
};

impl Access {
    /// The same with certificates that are mapped to callers for as long as the process runs.
    pub fn with_certificates(mut self, rules: Vec<CertificateRule>) -> Result<Access, AccessError> {
        self.is_open &= rules.is_empty();
        self.fixed.names.extend(rules.iter().map(|rule| rule.name.clone()));
        let prepared = rules.into_iter().map(|rule| prepare_rule(rule, self.changes.get_mut()));
        self.fixed.rules.extend(prepared);
        self.reload(Vec::new(), Vec::new())?;
        Ok(self)
    }

    /// Replaces the keys and certificates that may come and go by these, all or none. A key that stays the same stays whose it
    /// was; who was let in by one that is gone, or has other rights, is let in no more.
    pub fn reload(&self, keys: Vec<ApiKey>, rules: Vec<CertificateRule>) -> Result<(), AccessError> {
        let changes = self.changes.lock();
        let before = self.keys.load_full();
        let fixed = self.fixed.names.iter().map(String::as_str);
        let of_rules = rules.iter().map(|rule| &*rule.name);
        check_names(fixed.chain(keys.iter().map(|key| &*key.name)).chain(of_rules))?;
        let (mut ring, mut kept) = (self.fixed.keys.clone(), Vec::new());
        for key in keys {
            let expires = key.expires;
            let prepared = key.prepare(Some(Ending::new(expires, changes.subscribe())))?;
            if let Some(first) = self.fixed.given.get(&prepared.digest) {
                // Its caller is the first, also before that has shown a password for the first time.
                accept_twin(first, &prepared.identity)?;
                continue;
            }
            let same = before.of_digest(&prepared.digest, &self.keyed);
            let same = same.filter(|same| same.is_caller_of(&prepared.identity) && same.ending().is_some());
            let identity = same.cloned().unwrap_or_else(|| prepared.identity.clone());
            kept.push((identity.clone(), expires));
            ring.push(PreparedKey { identity, ..prepared });
        }
        let mut mapped = self.fixed.rules.clone();
        mapped.extend(rules.into_iter().map(|rule| {
            let prepared = prepare_rule(rule, &changes);
            before.same_rule(&prepared).cloned().unwrap_or(prepared)
        }));
        let next = Arc::new(KeyRing::new(ring, mapped, &self.keyed)?);
        for (identity, expires) in kept {
            identity.ending().iter().for_each(|ending| ending.expire_at(expires));
        }
        self.keys.store(Arc::clone(&next));
        before.end_those_not_in(&next);
        changes.send_replace(());
        Ok(())
    }

    /// Has everybody look again whether their credential has ended: for a wall clock that was set.
    pub fn look_again(&self) {
        self.changes.lock().send_replace(());
    }

    /// Whom this certificate makes the caller, as long as it is valid and vouched for.
    pub fn of_certificate(&self, certificate: &ClientCertificate) -> Option<Identity> {
        let ring = self.keys.load();
        let look = || {
            let mapped = ring.of_certificate(certificate.names())?;
            Some(mapped.with(mapped.ending()?.or_at(certificate.not_after(), certificate.trust())))
        };
        certificate.caller_by(ring.number, look).filter(Identity::is_valid)
    }

    /// Those of these names that no caller can have now.
    pub fn names_of_nobody<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        let ring = self.keys.load();
        let known: HashSet<&str> = ring.callers().chain(&self.owners).map(|identity| &*identity.name).collect();
        let is_given = |name: &str| match name {
            ANONYMOUS => self.is_open(),
            name => self.tokens().is_some() && name.starts_with(TOKEN),
        };
        names.filter(|name| !known.contains(name) && !is_given(name)).collect()
    }

    /// Every key with a name, a role and perhaps an end.
    pub fn keys(&self) -> Vec<Identity> {
        self.keys.load().identities().to_vec()
    }
}

fn prepare_rule(rule: CertificateRule, changes: &watch::Sender<()>) -> PreparedRule {
    let CertificateRule { name, names, role, prefixes } = rule;
    let ending = Some(Ending::new(None, changes.subscribe()));
    PreparedRule { names, identity: Identity::until(&name, role, &prefixes, ending) }
}
