//! Names that latchd gives to callers by itself. In the audit log, in rates and in messages they must mean nobody else.

use super::options::AccessError;

/// Whoever comes to a server without credentials.
pub const ANONYMOUS: &str = "anonymous";
/// Secrets without names of their own are numbered from 1: `password-1`.
pub const PASSWORD: &str = "password";
pub const COMMAND_LINE_KEY: &str = "command-line-key";
pub const COMMAND_LINE_PASSWORD: &str = "command-line-password";
/// What comes before the name of an identity token.
pub const TOKEN: &str = "oidc:";
/// In `quotas.rates`, each credential.
pub const EACH: &str = "*";

/// Refuses such a name, and none at all, for a key or the callers that certificates make.
pub fn check_name(name: &str) -> Result<(), AccessError> {
    let numbered = [PASSWORD, COMMAND_LINE_KEY, COMMAND_LINE_PASSWORD];
    let is_numbered = |kind: &&str| {
        let number = name.strip_prefix(*kind).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let is_reserved = ["", ANONYMOUS, EACH].contains(&name) || name.starts_with(TOKEN);
    match is_reserved || numbered.iter().any(is_numbered) {
        true => Err(AccessError::ReservedName { name: name.to_owned() }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_latchd_gives_itself_are_refused_and_those_near_them_are_not() {
        for name in ["", "*", "anonymous", "password-1", "password-12", "command-line-key-3", "oidc:", "oidc:repo:a/b"]
        {
            let refused = check_name(name).expect_err(name).to_string();
            assert!(refused.contains(&format!("`{name}`")), "{refused}");
        }
        assert!(check_name("command-line-password-1").is_err());
        for name in ["anonymous2", "Anonymous", "password", "password-of-ci", "my-password-1", "oidc", "**", "ops"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }
}
