//! Identity tokens from keys made here.

mod accepted;
mod keys;
mod refused;

use super::{IdentityTokens, IssuerSettings, KeySet, Looked, Now, TokenLimits, TokenRefusal};
use crate::access::Identity;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

const ISSUER: &str = "https://issuer.example";
const NOW: u64 = 1_800_000_000;

/// A key of an issuer.
struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(id: &'static str) -> Key {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        Key { id, pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("a key") }
    }

    fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": BASE64.encode(x), "y": BASE64.encode(y)})
    }

    fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.id})
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("a signature");
        format!("{message}.{}", BASE64.encode(signature.as_ref()))
    }
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// Claims of a job that the rules let in, with these changed; null takes one away.
fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "latchd", "sub": "repo:acme/app:ref:refs/heads/main", "iat": NOW - 10, "nbf": NOW - 10,
        "exp": NOW + 300, "repository": "acme/app", "ref": "refs/heads/main", "actor": "alice"
    });
    let (all, changes) = (claims.as_object_mut().expect("claims"), changes);
    for (name, value) in changes.as_object().expect("changes") {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    claims
}

fn rules() -> Value {
    json!([
        {"claims": {"repository": "acme/ops", "environment": "production"}, "role": "admin", "name": "ops {actor}"},
        {"claims": {"repository": "acme/*", "ref": "refs/heads/main"}, "role": "client", "name": "job {repository}",
         "prefixes": ["repo/{repository}/", "shared/"]},
        {"claims": {"repository": "acme/*"}, "role": "read-only", "prefixes": ["repo/{repository}/"]},
        {"claims": {"kubernetes.io": {"namespace": "ci"}}, "role": "client", "prefixes": ["ns/{/kubernetes.io/namespace}/"]}
    ])
}

fn issuer() -> Value {
    json!({"issuer": ISSUER, "audience": ["latchd", "https://latchd.example"], "rules": rules()})
}

/// A judge of the tokens of one issuer, and its time.
struct Judge {
    tokens: IdentityTokens,
    unix: u64,
    age: Duration,
}

impl Judge {
    fn of(settings: Value) -> Judge {
        let settings: IssuerSettings = serde_json::from_value(settings).expect("settings");
        let limits = TokenLimits {
            leeway: Duration::from_secs(60),
            lifetime_max: Duration::from_secs(86_400),
            refetch_interval: Duration::from_secs(10),
            failures_per_minute: 10,
            addresses_max: 100,
        };
        let tokens = IdentityTokens::new(&[settings], limits).expect("random bytes");
        Judge { tokens, unix: NOW, age: Duration::ZERO }
    }

    /// With these keys published.
    fn with(keys: &[&Key]) -> Judge {
        let judge = Judge::of(issuer());
        judge.publish(keys.iter().map(|key| key.jwk()).collect());
        judge
    }

    fn publish(&self, keys: Vec<Value>) {
        self.tokens.publish(0, set(&json!({"keys": keys})), Duration::from_secs(self.unix));
    }

    fn look(&self, token: &str) -> Looked {
        let now = Now { age: self.age, unix: Duration::from_secs(self.unix) };
        self.tokens.look(token, IpAddr::from([192, 0, 2, 1]), now)
    }

    fn judge(&self, token: &str) -> Result<Identity, TokenRefusal> {
        match self.look(token) {
            Looked::Judged(judged) => judged,
            looked => panic!("{looked:?}"),
        }
    }
}

fn set(document: &Value) -> KeySet {
    KeySet::parse(document.to_string().as_bytes()).expect("a key set")
}
