//! Keeps the keys of the issuers of identity tokens: one task for each issuer fetches them, again and again.
//!
//! What a token is worth is decided in `access`. An issuer that does not answer delays neither the start nor any request but
//! those with its own new tokens, and this server stays ready without it.

mod document;
mod fetch;
pub mod metrics;
mod refresh;

#[cfg(test)]
mod tests;

use crate::access::Access;
use crate::config::AccessConfig;
use std::sync::Arc;

/// Starts the tasks. Needs a runtime.
pub fn start(access: &Access, config: &AccessConfig) {
    let Some(tokens) = access.tokens() else { return };
    for (at, settings) in config.oidc.iter().enumerate() {
        let source = fetch::Source::of(settings);
        tokio::spawn(refresh::run(Arc::clone(tokens), at, source, config.oidc_keys_age_max));
    }
}
