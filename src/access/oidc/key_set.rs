//! The keys of an issuer (a JWK set, RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Issuers have few; more would only slow down each token.
const KEYS_MAX: usize = 200;
/// Keys of one id that are tried for one token. Only sets that break the rule about ids have more than one.
const CANDIDATES_MAX: usize = 4;

/// The algorithms that are accepted. All have a key pair: with a shared secret, whoever can verify can also sign.
pub(super) fn algorithms() -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    vec![RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA]
}

/// Keys that tokens may be signed with.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    parameters: AlgorithmParameters,
    key: DecodingKey,
}

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("it is no JWK set: a JSON object with a list `keys` is expected")]
    NotASet,
    #[error("it has more than {KEYS_MAX} keys")]
    TooMany,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads the keys that can verify a signature; others are left out.
    pub fn parse(json: &[u8]) -> Result<KeySet, KeySetError> {
        let document: Document = serde_json::from_slice(json).map_err(|_| KeySetError::NotASet)?;
        if document.keys.len() > KEYS_MAX {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<Key> = Vec::new();
        for key in document.keys.into_iter().filter_map(|key| Key::of(serde_json::from_value(key).ok()?)) {
            let is_there = |other: &Key| other.id == key.id && other.parameters == key.parameters;
            if !keys.iter().any(is_there) {
                keys.push(key);
            }
        }
        Ok(KeySet(keys))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that may have signed a token. One that names none must leave no choice.
    pub(super) fn candidates(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id);
        let found: Vec<&DecodingKey> = self.0.iter().filter(fits).map(|key| &key.key).collect();
        match (id, found.len()) {
            (None, 2..) => Vec::new(),
            _ => found.into_iter().take(CANDIDATES_MAX).collect(),
        }
    }

    /// Whether the same tokens are valid under both.
    pub(super) fn is_same_as(&self, other: &KeySet) -> bool {
        let same = |(one, other): (&Key, &Key)| {
            one.id == other.id && one.algorithms == other.algorithms && one.parameters == other.parameters
        };
        self.len() == other.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Key {
    fn of(jwk: Jwk) -> Option<Key> {
        let is_for_signatures = match (&jwk.common.public_key_use, &jwk.common.key_operations) {
            (Some(PublicKeyUse::Signature) | None, None) => true,
            (Some(PublicKeyUse::Signature) | None, Some(operations)) => operations.contains(&KeyOperations::Verify),
            (Some(_), _) => false,
        };
        let mut algorithms = of_type(&jwk.algorithm);
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|one| KeyAlgorithm::from(*one) == only);
        }
        if !is_for_signatures || algorithms.is_empty() {
            return None;
        }
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Key { id: jwk.common.key_id, algorithms, parameters: jwk.algorithm, key })
    }
}

/// What a key of this type can verify. A shared secret in a public set is none.
fn of_type(parameters: &AlgorithmParameters) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
        _ => Vec::new(),
    }
}
