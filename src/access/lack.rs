//! What a caller would need, so that it is told what to ask for.

use super::identity::{Identity, Role};
use std::fmt;

/// Which names an act is about.
#[derive(Clone, Copy, Debug)]
enum Names {
    Given,
    Every,
}

/// Why a caller may not do something. Its words name the role or the prefix that is missing, and never the credential.
#[derive(Clone, Copy, Debug)]
pub struct Lack {
    role: Option<Role>,
    names: Option<Names>,
}

impl Identity {
    /// What it lacks for an act on this name that needs this role.
    pub fn lack_for(&self, role: Role, name: &str) -> Lack {
        Lack { names: (!self.may_read(name)).then_some(Names::Given), ..self.lack_of(role) }
    }

    /// The same for an act that is about every name.
    pub fn lack_for_all(&self, role: Role) -> Lack {
        Lack { names: (!self.sees_every_name()).then_some(Names::Every), ..self.lack_of(role) }
    }

    /// The same for an act that is about no name.
    pub fn lack_of(&self, role: Role) -> Lack {
        let has_role = match role {
            Role::Admin => self.is_admin(),
            Role::Client => self.may_write(),
            Role::ReadOnly => true,
        };
        Lack { role: (!has_role).then_some(role), names: None }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needed = match self.role {
            Some(Role::Client) => "it needs the role client or admin",
            Some(role) => return write!(f, "it needs the role {}{}", role.as_str(), self.names_too()),
            None => match self.names {
                Some(Names::Every) => "it is limited to some lock names",
                _ => "the name lies outside of the prefixes that it is limited to",
            },
        };
        let too = if self.role.is_some() { self.names_too() } else { "" };
        write!(f, "{needed}{too}")
    }
}

impl Lack {
    /// What is missing besides the role.
    fn names_too(&self) -> &'static str {
        match self.names {
            None => "",
            Some(Names::Given) => ", and the name lies outside of the prefixes that it is limited to",
            Some(Names::Every) => ", and is limited to some lock names",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let limited = |role| Identity::new("ci", role, &["build/".to_owned()]);
        let (reader, client) = (limited(Role::ReadOnly), limited(Role::Client));
        for (lack, told) in [
            (reader.lack_for(Role::Client, "build/a"), "it needs the role client or admin"),
            (client.lack_for(Role::Client, "b"), "the name lies outside of the prefixes that it is limited to"),
            (
                client.lack_for(Role::Admin, "b"),
                "it needs the role admin, and the name lies outside of the prefixes that it is limited to",
            ),
            (client.lack_for_all(Role::Admin), "it needs the role admin, and is limited to some lock names"),
            (limited(Role::Admin).lack_for_all(Role::Admin), "it is limited to some lock names"),
        ] {
            assert_eq!(lack.to_string(), told);
        }
    }
}
