//! The default metadata of locks: which process holds them.

use rustix::process::getuid;

/// The service's default of `locks.metadata_value_bytes_max`.
const VALUE_BYTES: usize = 256;

/// `host`, `pid` and `user`.
pub(super) fn default_metadata() -> Vec<(&'static str, String)> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let entries = [("host", host), ("pid", std::process::id().to_string()), ("user", user())];
    entries.into_iter().filter(|(_, value)| !value.is_empty() && value.len() <= VALUE_BYTES).collect()
}

/// The name of the real user, without a directory service, which may take any time.
fn user() -> String {
    let uid = getuid().as_raw();
    let file = std::fs::read("/etc/passwd").unwrap_or_default();
    let named = name_of(&String::from_utf8_lossy(&file), uid);
    let from_environment = || ["LOGNAME", "USER"].iter().find_map(|name| std::env::var(name).ok());
    named.or_else(from_environment).filter(|name| !name.is_empty()).unwrap_or_else(|| uid.to_string())
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_name_is_found_by_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# a comment\nbad:line\nbuild:x:1000:1000::/home/build:/bin/sh\n";
        assert_eq!(name_of(passwd, 1000).as_deref(), Some("build"));
        assert_eq!(name_of(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_of(passwd, 7), None);
    }
}
