//! Identity tokens: signed JWTs of OIDC issuers, by which a caller shows who it is (RFC 7519, OpenID Connect Core).
//!
//! Pure like the rest of the room: keys come in by [`IdentityTokens::publish`], and the time with each question. Whoever
//! fetches keys is elsewhere. What a token says is believed only after its signature was verified with a key that its issuer
//! published; keys that a token brings along or points to are never looked at.

mod claims;
mod issuer;
mod key_set;
mod pattern;
mod refusal;
mod rule;
mod settings;
mod signature;
mod template;
mod token;
mod tokens;
mod waiting;

#[cfg(test)]
mod tests;

pub use key_set::{KeySet, KeySetError};
pub use refusal::TokenRefusal;
pub use rule::Rule;
pub use settings::{IssuerSettings, TokenLimits, is_fit_to_fetch};
pub use token::may_be_token;
pub use tokens::{IdentityTokens, IssuerReport, Looked, Now};
