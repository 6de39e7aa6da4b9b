//! Signatures of tokens are verified by the cryptography that TLS uses here.

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils, verify};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    // Nothing is signed here.
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(ByRing { algorithm: *algorithm, key: key.clone() })),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Before the first token is judged.
pub(super) fn install() {
    // Fails only if it is installed already.
    let _ = PROVIDER.install_default();
}

/// Whether this is the signature of the message. The caller has looked that the key is one for this algorithm.
pub(super) fn is_valid(signature: &str, message: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    verify(signature, message.as_bytes(), key, algorithm).unwrap_or(false)
}

struct ByRing {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// How a signature is verified. Those with a shared secret have none: a public key must never be taken for one.
enum Method {
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

fn method(algorithm: Algorithm) -> Option<Method> {
    Some(match algorithm {
        Algorithm::RS256 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Method::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Method::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Method::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Method::Rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Method::Curve(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Method::Curve(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Method::Curve(&ED25519),
        _ => return None,
    })
}

impl Verifier<Vec<u8>> for ByRing {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let wrong = |_| signature::Error::new();
        match (method(self.algorithm), self.key.kind()) {
            (Some(Method::Rsa(parameters)), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = RsaPublicKeyComponents { n: without_zeros(n), e: without_zeros(e) };
                key.verify(parameters, message, signature).map_err(wrong)
            }
            (Some(Method::Curve(algorithm)), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).map_err(wrong)
            }
            _ => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for ByRing {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Some issuers write a leading zero, which is no part of the number.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}
