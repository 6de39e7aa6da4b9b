//! Where a claim stands in a token, and what may be read there.

use serde_json::{Map, Value};

pub(super) type Claims = Map<String, Value>;

/// A longer value is nobody's name.
const VALUE_BYTES_MAX: usize = 256;

/// The way to a claim. `repository` is the claim of this whole name; `/kubernetes.io/namespace` is a JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimPath(Vec<String>);

impl ClaimPath {
    pub fn parse(text: &str) -> Option<ClaimPath> {
        let steps: Vec<String> = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
        };
        steps.iter().all(|step| !step.is_empty()).then_some(ClaimPath(steps))
    }

    pub fn steps(&self) -> &[String] {
        &self.0
    }

    /// The claim as a text, where it is one text or a whole number, not empty and not too long.
    pub fn text(&self, claims: &Claims) -> Option<String> {
        let (first, rest) = self.0.split_first()?;
        let value = rest.iter().try_fold(claims.get(first)?, |value, step| value.as_object()?.get(step))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if !number.is_f64() => number.to_string(),
            _ => return None,
        };
        (1..=VALUE_BYTES_MAX).contains(&text.len()).then_some(text)
    }
}

/// Seconds since 1970 of a claim, which may have fractions (RFC 7519, NumericDate). `Err` where it is something else.
pub(super) fn moment(claims: &Claims, name: &str) -> Result<Option<f64>, ()> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().filter(|moment| moment.is_finite()).map(Some).ok_or(()),
    }
}

/// The audiences of a token: one text or several.
pub(super) fn audiences(claims: &Claims) -> impl Iterator<Item = &str> {
    let (one, several) = match claims.get("aud") {
        Some(Value::String(one)) => (Some(one.as_str()), None),
        Some(Value::Array(several)) => (None, Some(several)),
        _ => (None, None),
    };
    one.into_iter().chain(several.into_iter().flatten().filter_map(Value::as_str))
}
