//! Query strings and paths as the old servers read them: percent-decoded, `+` a space in queries, first occurrence wins.

use super::failure::Failure;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use percent_encoding::percent_decode;
use std::borrow::Cow;

/// The parameters of one request, read where they stand.
#[derive(Clone, Copy)]
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub fn of(uri: &'a axum::http::Uri) -> Query<'a> {
        Query(uri.query().unwrap_or(""))
    }

    /// The names of all parameters, as they stand there.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let names = self.0.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
        names.filter(|name| !name.is_empty())
    }

    /// A parameter's text; a name without `=` is the empty text. Parameter names are case-sensitive.
    pub fn text(self, field: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
        let mut pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let Some((_, raw)) = pairs.find(|(name, _)| *name == field) else {
            return Ok(None);
        };
        decode(raw).map(Some).ok_or_else(|| Failure::field(field, format!("{field} must be UTF-8")))
    }
}

fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains(['%', '+']) {
        return Some(Cow::Borrowed(raw));
    }
    let spaced = raw.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(Cow::Owned(decoded.into_owned()))
}

/// The captures of a route, as axum hands them over.
pub type Captured = Result<RawPathParams, RawPathParamsRejection>;

/// The capture `field`; axum fails only for text that is not UTF-8.
pub fn capture(captured: &Captured, field: &'static str) -> Result<String, Failure> {
    let broken = || Failure::field(field, format!("{field} must be UTF-8, percent-encoded"));
    let captures = captured.as_ref().map_err(|_| broken())?;
    let found = captures.iter().find(|(known, _)| *known == field);
    found.map(|(_, value)| value.to_owned()).ok_or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: &str, field: &'static str) -> Option<String> {
        Query(query).text(field).expect("UTF-8").map(Cow::into_owned)
    }

    #[test]
    fn parameters_are_decoded_and_the_first_one_counts() {
        assert_eq!(text("lockname=a+b%2F%e6%97%a5&lockname=c", "lockname").as_deref(), Some("a b/日"));
        assert_eq!(text("lockname", "lockname").as_deref(), Some(""));
        assert_eq!(text("lockname=", "lockname").as_deref(), Some(""));
        assert_eq!(text("LockName=x&auth=y", "lockname"), None);
        assert_eq!(text("", "lockname"), None);
    }
}
