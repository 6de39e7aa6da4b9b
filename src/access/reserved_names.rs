//! Names that latchd gives to callers by itself. In the audit log, in rates and in messages they must mean nobody else.

/// Whoever comes to a server without credentials.
pub const ANONYMOUS: &str = "anonymous";
/// Secrets without names of their own are numbered from 1: `password-1`.
pub const PASSWORD: &str = "password";
pub const COMMAND_LINE_KEY: &str = "command-line-key";
pub const COMMAND_LINE_PASSWORD: &str = "command-line-password";
/// What comes before the name of an identity token.
pub const TOKEN: &str = "oidc:";
/// In `quotas.rates` and `quotas.limits`, each credential.
pub const EACH: &str = "*";

/// Whether no key and no certificate may have this name.
pub fn is_reserved(name: &str) -> bool {
    let numbered = [PASSWORD, COMMAND_LINE_KEY, COMMAND_LINE_PASSWORD];
    let is_numbered = |kind: &&str| {
        let number = name.strip_prefix(*kind).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_given = ["", ANONYMOUS, EACH].contains(&name) || name.starts_with(TOKEN);
    is_given || numbered.iter().any(is_numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_latchd_gives_itself_are_refused_and_those_near_them_are_not() {
        for name in ["", "*", "anonymous", "password-1", "password-12", "command-line-key-3", "oidc:", "oidc:repo:a/b"]
        {
            assert!(is_reserved(name), "{name}");
        }
        assert!(is_reserved("command-line-password-1"));
        for name in ["anonymous2", "Anonymous", "password", "password-of-ci", "my-password-1", "oidc", "**", "ops"] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
