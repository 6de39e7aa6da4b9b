//! Looks for identity tokens among the secrets of a request.

use super::app::AppState;
use super::code::Code;
use super::failure::Failure;
use crate::access::Identity;
use crate::access::oidc::{IdentityTokens, Looked, Now, TokenRefusal};
use crate::base::clock;
use std::net::IpAddr;

/// What was found among the secrets.
pub(super) enum Found<'a> {
    Opens(Identity),
    Refused {
        refusal: TokenRefusal,
        /// One of these may open still.
        others: Vec<&'a str>,
    },
    NoToken,
}

/// Judges the tokens among these secrets. May wait for a fetch of keys.
pub(super) async fn find<'a>(app: &AppState, tokens: &IdentityTokens, secrets: &[&'a str], from: IpAddr) -> Found<'a> {
    let (mut others, mut refused) = (Vec::new(), None);
    for secret in secrets {
        match looked(app, tokens, secret, from).await {
            Looked::Judged(Ok(identity)) => return Found::Opens(identity),
            Looked::Judged(Err(refusal)) => refused = Some(refusal),
            Looked::NoToken | Looked::KeysNeeded(_) => others.push(*secret),
        }
    }
    refused.map_or(Found::NoToken, |refusal| Found::Refused { refusal, others })
}

async fn looked(app: &AppState, tokens: &IdentityTokens, secret: &str, from: IpAddr) -> Looked {
    match tokens.look(secret, from, now()) {
        // What equals a key is that key, whatever it looks like.
        Looked::Judged(Err(_)) | Looked::KeysNeeded(_) if app.access.has_key(secret) => Looked::NoToken,
        // Boxed, or the future of every request would have the size of this rare path.
        Looked::KeysNeeded(issuer) => Box::pin(tokens.look_with_new_keys(secret, issuer, from, now)).await,
        looked => looked,
    }
}

fn now() -> Now {
    Now { age: clock::process_age(), unix: clock::unix_time() }
}

pub(super) fn failure(refusal: TokenRefusal) -> Failure {
    let code = match refusal {
        TokenRefusal::NoRule => Code::Forbidden,
        TokenRefusal::IssuerUnreachable => Code::IssuerUnreachable,
        TokenRefusal::NotNow => Code::TooManyAttempts,
        _ => Code::IdentityTokenRefused,
    };
    let failure = Failure::new(code, refusal.words());
    match refusal {
        TokenRefusal::LivesTooLong => failure.set_by("access.oidc_lifetime_max"),
        TokenRefusal::NotNow => failure.set_by("access.failure_limit"),
        _ => failure,
    }
}
