//! A token as it was sent: read, and not believed yet.

use super::claims::Claims;
use super::refusal::{TOKEN_BYTES_MAX, TokenRefusal};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

/// A signed JWT in its compact form (RFC 7515).
pub(super) struct IdentityToken<'a> {
    pub algorithm: Algorithm,
    pub key_id: Option<String>,
    pub claims: Claims,
    /// What is signed, and the signature.
    pub message: &'a str,
    pub signature: &'a str,
}

/// Of the header only what is needed: keys that it brings along or points to (`jwk`, `jku`, `x5c`, `x5u`) are not read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Whether a secret has the three parts of a token, and the first can be the header. Costs next to nothing.
pub fn may_be_token(secret: &str) -> bool {
    // Base64 of an opening brace.
    secret.starts_with('e') && secret.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl IdentityToken<'_> {
    /// None where a secret only looks like a token: its first part is no header.
    pub fn read(secret: &str) -> Option<Result<IdentityToken<'_>, TokenRefusal>> {
        if secret.len() > TOKEN_BYTES_MAX {
            return Some(Err(TokenRefusal::TooLong));
        }
        let (message, signature) = secret.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: Header = decoded(header)?;
        Some(IdentityToken::of(&header, claims, message, signature))
    }

    fn of<'a>(
        header: &Header,
        claims: &str,
        message: &'a str,
        signature: &'a str,
    ) -> Result<IdentityToken<'a>, TokenRefusal> {
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_of_identity) {
            return Err(TokenRefusal::Extension);
        }
        let algorithm = header.alg.parse().map_err(|_| TokenRefusal::Algorithm)?;
        let claims = decoded(claims).ok_or(TokenRefusal::Unreadable)?;
        Ok(IdentityToken { algorithm, key_id: header.kid.clone(), claims, message, signature })
    }
}

/// Issuers sign other things with the same keys, such as logout tokens, which say so here (RFC 8725, 3.11).
fn is_of_identity(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    matches!(media_type.strip_prefix("application/").unwrap_or(&media_type), "jwt" | "at+jwt")
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
