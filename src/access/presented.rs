//! What a request carries: the secrets in its headers, in every form that clients use.

use std::{borrow::Cow, fmt};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Clients disagree about the `=` at the end; both ways are unambiguous.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One place of a request where a secret may stand.
#[derive(Clone, PartialEq, Eq)]
pub enum Presented<'a> {
    None,
    Secret(Cow<'a, str>),
    /// Something is there, but no secret can be read from it (bad base64, no colon, not UTF-8).
    Unreadable,
}

impl Presented<'_> {
    /// What [`Access::check`](super::Access::check) takes. The unreadable is the empty secret, which no
    /// credential has: so it counts as wrong, not as missing.
    pub fn as_secret(&self) -> Option<&str> {
        match self {
            Presented::None => None,
            Presented::Secret(secret) => Some(secret),
            Presented::Unreadable => Some(""),
        }
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Presented::None => "None",
            Presented::Secret(_) => "Secret(..)",
            Presented::Unreadable => "Unreadable",
        })
    }
}

/// The headers may carry two secrets at once; any valid one opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHeaders<'a> {
    pub authorization: Presented<'a>,
    pub x_api_key: Presented<'a>,
}

impl InHeaders<'_> {
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [&self.authorization, &self.x_api_key].into_iter().filter_map(Presented::as_secret)
    }
}

/// Reads `Authorization` (Basic, Bearer, or the bare secret as some clients send it) and `X-API-Key`.
pub fn presented_in_headers<'a>(authorization: Option<&'a [u8]>, x_api_key: Option<&'a [u8]>) -> InHeaders<'a> {
    InHeaders {
        authorization: text(authorization, in_authorization),
        x_api_key: text(x_api_key, |key| Presented::Secret(key.into())),
    }
}

fn text<'a>(value: Option<&'a [u8]>, read: impl FnOnce(&'a str) -> Presented<'a>) -> Presented<'a> {
    match value.map(str::from_utf8) {
        None => Presented::None,
        Some(Ok(text)) => read(text.trim_matches([' ', '\t'])),
        Some(Err(_)) => Presented::Unreadable,
    }
}

fn in_authorization(value: &str) -> Presented<'_> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("basic") {
        basic_password(rest).map_or(Presented::Unreadable, |password| Presented::Secret(password.into()))
    } else if scheme.eq_ignore_ascii_case("bearer") {
        Presented::Secret(rest.into())
    } else {
        Presented::Secret(value.into())
    }
}

/// Everything after the first colon, so that a password may contain colons. The user part says nothing.
fn basic_password(encoded: &str) -> Option<String> {
    let mut decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let colon = decoded.find(':')?;
    Some(decoded.split_off(colon + 1))
}
