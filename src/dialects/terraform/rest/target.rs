//! What a request asks for, by its method and path.

use crate::http::{Code, Failure, Query};
use axum::http::{Method, Uri};
use percent_encoding::percent_decode_str;

const PREFIX: &str = "/terraform/";
/// Of a write of the state under a lock.
const STATE_PARAMETER: &str = "ID";
const STATE_IS_ELSEWHERE: &str = "latchd keeps locks, and stores no state: in the `http` backend only lock_address and \
    unlock_address lead here, and address leads to where the state is kept";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    Lock,
    Unlock,
}

/// Which addresses a path stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// `/terraform/{name}`: both, and a state's `address` by mistake.
    Both,
    /// `/terraform/{name}/lock`: both, as GitLab's users have it.
    Lock,
    /// `/terraform/{name}/unlock`.
    Unlock,
}

/// The verb and the lock of a request. A slash in a name may be encoded or not.
#[derive(PartialEq, Debug)]
pub struct Target<'a> {
    pub verb: Verb,
    encoded_name: &'a str,
}

impl<'a> Target<'a> {
    pub fn of(method: &Method, uri: &'a Uri) -> Result<Target<'a>, Failure> {
        let (encoded_name, place) = split(uri.path());
        if Query::of(uri).names().any(|name| name == STATE_PARAMETER) {
            return Err(Failure::new(Code::MethodNotAllowed, STATE_IS_ELSEWHERE));
        }
        let verb = match (place, method.as_str()) {
            (Place::Both | Place::Lock, "LOCK" | "PUT") | (Place::Lock, "POST") => Verb::Lock,
            (_, "UNLOCK" | "DELETE") | (Place::Unlock, "POST" | "PUT") => Verb::Unlock,
            (Place::Both, "GET" | "HEAD" | "POST") => {
                return Err(Failure::new(Code::MethodNotAllowed, STATE_IS_ELSEWHERE));
            }
            _ => return Err(Failure::new(Code::MethodNotAllowed, format!("{method} is not allowed here"))),
        };
        Ok(Target { verb, encoded_name })
    }

    pub fn name(&self) -> Result<String, Failure> {
        match percent_decode_str(self.encoded_name).decode_utf8() {
            Ok(name) if name.is_empty() => Err(Failure::field("name", "name must not be empty: /terraform/{name}")),
            Ok(name) => Ok(name.into_owned()),
            Err(_) => Err(Failure::field("name", "name must be UTF-8, percent-encoded")),
        }
    }
}

/// The methods of a path, for the header `Allow`.
pub fn allowed(uri: &Uri) -> &'static str {
    match split(uri.path()).1 {
        Place::Both => "LOCK, PUT, UNLOCK, DELETE",
        Place::Lock => "LOCK, POST, PUT, UNLOCK, DELETE",
        Place::Unlock => "UNLOCK, POST, PUT, DELETE",
    }
}

fn split(path: &str) -> (&str, Place) {
    let rest = path.strip_prefix(PREFIX).unwrap_or_default();
    let ends = [("/lock", Place::Lock), ("/unlock", Place::Unlock)];
    let found = ends.into_iter().find_map(|(end, place)| Some((rest.strip_suffix(end)?, place)));
    found.unwrap_or((rest, Place::Both))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(method: &str, uri: &str) -> Result<(Verb, String), Code> {
        let (method, uri) = (Method::from_bytes(method.as_bytes()).expect("a method"), uri.parse().expect("a target"));
        let target = Target::of(&method, &uri).map_err(|failure| failure.code)?;
        target.name().map(|name| (target.verb, name)).map_err(|failure| failure.code)
    }

    #[test]
    fn method_and_path_tell_lock_from_unlock() {
        for (method, uri, verb) in [
            ("LOCK", "/terraform/prod", Verb::Lock),
            ("PUT", "/terraform/prod", Verb::Lock),
            ("UNLOCK", "/terraform/prod", Verb::Unlock),
            ("DELETE", "/terraform/prod", Verb::Unlock),
            ("LOCK", "/terraform/prod/lock", Verb::Lock),
            ("POST", "/terraform/prod/lock", Verb::Lock),
            ("PUT", "/terraform/prod/lock", Verb::Lock),
            ("DELETE", "/terraform/prod/lock", Verb::Unlock),
            ("UNLOCK", "/terraform/prod/lock", Verb::Unlock),
            ("UNLOCK", "/terraform/prod/unlock", Verb::Unlock),
            ("POST", "/terraform/prod/unlock", Verb::Unlock),
            ("PUT", "/terraform/prod/unlock", Verb::Unlock),
            ("DELETE", "/terraform/prod/unlock", Verb::Unlock),
        ] {
            assert_eq!(target(method, uri), Ok((verb, "prod".to_owned())), "{method} {uri}");
        }
    }

    #[test]
    fn everything_else_is_not_allowed() {
        for (method, uri) in [
            ("GET", "/terraform/prod"),
            ("HEAD", "/terraform/prod"),
            ("POST", "/terraform/prod"),
            ("PATCH", "/terraform/prod"),
            ("lock", "/terraform/prod"),
            ("LOCK", "/terraform/prod/unlock"),
            ("GET", "/terraform/prod/lock"),
            ("PUT", "/terraform/prod?ID=1"),
            ("POST", "/terraform/prod/lock?x=1&ID="),
        ] {
            assert_eq!(target(method, uri), Err(Code::MethodNotAllowed), "{method} {uri}");
        }
    }

    #[test]
    fn name_may_have_slashes_and_encoded_ends() {
        for (uri, name) in [
            ("/terraform/a/b/c", "a/b/c"),
            ("/terraform/a%2Fb/lock", "a/b"),
            ("/terraform/a%2Flock", "a/lock"),
            ("/terraform/lock", "lock"),
            ("/terraform/%E6%97%A5%20+", "日 +"),
        ] {
            assert_eq!(target("LOCK", uri), Ok((Verb::Lock, name.to_owned())), "{uri}");
        }
        for uri in ["/terraform/", "/terraform//lock", "/terraform/%ff"] {
            assert_eq!(target("LOCK", uri), Err(Code::InvalidField), "{uri}");
        }
    }
}
