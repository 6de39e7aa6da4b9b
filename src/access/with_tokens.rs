//! The place of identity tokens beside passwords and keys.

use super::checker::Access;
use super::digest::sha256;
use super::oidc::IdentityTokens;
use std::sync::Arc;

impl Access {
    /// Identity tokens open too. They are judged elsewhere, because their keys may have to be fetched first.
    pub fn with_tokens(mut self, tokens: Arc<IdentityTokens>) -> Access {
        (self.tokens, self.is_open) = (Some(tokens), false);
        self
    }

    pub fn tokens(&self) -> Option<&Arc<IdentityTokens>> {
        self.tokens.as_ref()
    }

    /// Whether this is an API key, whatever else it looks like.
    pub fn has_key(&self, secret: &str) -> bool {
        self.keys.load().of_digest(&sha256(secret), &self.keyed).is_some()
    }
}
