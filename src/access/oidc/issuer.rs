//! What one issuer's tokens must be, and whom they make their owner.

use super::claims::{Claims, audiences, moment};
use super::key_set::KeySet;
use super::refusal::TokenRefusal;
use super::rule::Rule;
use super::settings::{IssuerSettings, TokenLimits};
use super::signature;
use super::token::IdentityToken;
use crate::access::ending::Ending;
use crate::access::identity::Identity;
use jsonwebtoken::Algorithm;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

#[derive(Debug)]
pub(super) struct Issuer {
    pub url: String,
    audiences: Vec<String>,
    algorithms: Vec<Algorithm>,
    rules: Vec<Rule>,
    leeway: Duration,
    lifetime_max: Duration,
    /// Nothing is sent: a token ends at its time.
    changes: watch::Sender<()>,
}

/// No subject of an issuer is longer (OpenID Connect Core: 255 characters).
const SUBJECT_BYTES_MAX: usize = 1024;

impl Issuer {
    pub fn new(settings: &IssuerSettings, limits: &TokenLimits) -> Issuer {
        Issuer {
            url: settings.issuer.clone(),
            audiences: settings.audience.clone(),
            algorithms: settings.algorithms.clone(),
            rules: settings.rules.clone(),
            leeway: limits.leeway,
            lifetime_max: limits.lifetime_max,
            changes: watch::Sender::new(()),
        }
    }

    /// What can be said before the signature is verified, because it says nothing of the rules. Returns until when the token
    /// is accepted, in seconds since 1970.
    pub fn check_claims(&self, token: &IdentityToken<'_>, now: Duration) -> Result<u64, TokenRefusal> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(TokenRefusal::Algorithm);
        }
        let at = |name| moment(&token.claims, name).map_err(|()| TokenRefusal::Unreadable);
        let (expires, not_before, issued) = (at("exp")?, at("nbf")?, at("iat")?);
        let expires = expires.ok_or(TokenRefusal::Expired)?;
        let leeway = self.leeway.as_secs_f64();
        let until = (expires + leeway).floor() as u64;
        if now.as_secs() >= until {
            return Err(TokenRefusal::Expired);
        }
        let now = now.as_secs_f64();
        if not_before.is_some_and(|from| from > now + leeway) || issued.is_some_and(|at| at > now + leeway) {
            return Err(TokenRefusal::NotYetValid);
        }
        let begun = issued.or(not_before).unwrap_or(now);
        if expires - begun > self.lifetime_max.as_secs_f64() {
            return Err(TokenRefusal::LivesTooLong);
        }
        Ok(until)
    }

    /// Whom a token makes its owner, if one of these keys has signed it.
    pub fn verify(&self, token: &IdentityToken<'_>, keys: &KeySet, until: u64) -> Result<Identity, TokenRefusal> {
        let candidates = keys.candidates(token.key_id.as_deref(), token.algorithm);
        if candidates.is_empty() {
            return Err(TokenRefusal::UnknownKey);
        }
        let signed = |key: &&_| signature::is_valid(token.signature, token.message, key, token.algorithm);
        if !candidates.iter().any(signed) {
            return Err(TokenRefusal::Signature);
        }
        if !audiences(&token.claims).any(|audience| self.audiences.iter().any(|ours| ours == audience)) {
            return Err(TokenRefusal::Audience);
        }
        let subject = subject(&token.claims).ok_or(TokenRefusal::Subject)?;
        // No value that the owner of a token has chosen leads past a rule to a later one that gives more.
        let rule = self.rules.iter().find(|rule| rule.is_about(&token.claims)).ok_or(TokenRefusal::NoRule)?;
        let ending = Ending::new(Some(until), self.changes.subscribe());
        rule.identity(&self.url, subject, &token.claims, ending).ok_or(TokenRefusal::NoRule)
    }
}

fn subject(claims: &Claims) -> Option<&str> {
    claims.get("sub").and_then(Value::as_str).filter(|text| (1..=SUBJECT_BYTES_MAX).contains(&text.len()))
}
