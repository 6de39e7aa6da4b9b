//! Why an identity token is not accepted, in words for its owner. They say nothing of the rules.

/// A longer token is refused unread.
pub(super) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Declares each refusal once: variant, label in metrics, words.
macro_rules! refusals {
    ($($variant:ident = $label:literal, $words:literal;)*) => {
        /// Every way in which a token can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum TokenRefusal {
            $($variant,)*
        }

        impl TokenRefusal {
            pub const ALL: &[TokenRefusal] = &[$(TokenRefusal::$variant),*];

            /// Its label in metrics.
            pub const fn label(self) -> &'static str {
                match self { $(TokenRefusal::$variant => $label,)* }
            }

            pub const fn words(self) -> &'static str {
                match self { $(TokenRefusal::$variant => $words,)* }
            }
        }
    };
}

refusals! {
    TooLong = "too-long", "the identity token is longer than 16384 bytes";
    Unreadable = "unreadable", "the identity token cannot be read: it must be a JWT of three parts with a header and claims in JSON";
    Algorithm = "algorithm", "the signature algorithm of the identity token is not accepted here";
    Extension = "extension", "the header of the identity token has extensions that are not known here (crit), or another type than JWT";
    UnknownIssuer = "unknown-issuer", "the issuer of the identity token is not known here";
    Expired = "expired", "the identity token has expired, or has no exp: get a new one";
    NotYetValid = "not-yet-valid", "the identity token is not valid yet: compare the clocks of its issuer and of this server";
    LivesTooLong = "lives-too-long", "the identity token is valid for longer than is accepted here";
    Audience = "audience", "the identity token is for another audience";
    Subject = "subject", "the identity token has no subject (sub), or one that is too long";
    UnknownKey = "unknown-key", "the identity token is signed with a key that its issuer does not publish, or not for its algorithm";
    Signature = "signature", "the signature of the identity token is wrong";
    NoRule = "no-rule", "the identity token is valid, but no rule of access.oidc gives it a right here";
    IssuerUnreachable = "issuer-unreachable", "the keys of the issuer of the identity token cannot be fetched now";
    // Too many wrong signatures from the address, or too many that wait for keys.
    NotNow = "not-now", "too many identity tokens from this address wait or were wrong";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_bound_that_is_kept() {
        assert!(TokenRefusal::TooLong.words().contains(&format!(" {TOKEN_BYTES_MAX} bytes")));
    }
}
