//! What a request is about: one lock, or several that are taken, renewed and released as one.

use serde::Serialize;

/// As requests have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Names {
    Name(String),
    Names(Vec<String>),
}

impl Names {
    /// The only name, or the first one, which answers repeat.
    pub fn first(&self) -> &str {
        match self {
            Names::Name(name) => name,
            Names::Names(names) => names.first().map(String::as_str).unwrap_or_default(),
        }
    }

    pub fn all(&self) -> Vec<String> {
        match self {
            Names::Name(name) => vec![name.clone()],
            Names::Names(names) => names.clone(),
        }
    }
}

impl From<&str> for Names {
    fn from(name: &str) -> Names {
        Names::Name(name.to_owned())
    }
}

impl From<Vec<String>> for Names {
    fn from(names: Vec<String>) -> Names {
        match <[String; 1]>::try_from(names) {
            Ok([name]) => Names::Name(name),
            Err(names) => Names::Names(names),
        }
    }
}

impl Default for Names {
    fn default() -> Names {
        Names::Name(String::new())
    }
}

/// A request about a hold.
#[derive(Serialize)]
pub(super) struct HoldRequest<'a> {
    #[serde(flatten)]
    pub names: &'a Names,
    pub key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout_seconds: Option<f64>,
}
