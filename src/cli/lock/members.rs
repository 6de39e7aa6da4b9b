//! Who belongs to a process group, as the kernel shows it.

use std::fmt::{self, Display};

use rustix::process::Pid;

/// A process that lives.
#[derive(Debug)]
pub(super) struct Member {
    pid: u32,
    name: String,
}

impl Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pid, self.name)
    }
}

/// How many processes of the group are to be seen, zombies too, and those of them that live.
pub(super) fn of(group: Pid) -> (usize, Vec<Member>) {
    let mut seen = 0;
    let mut living = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end at any time.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((name, state, its_group)) = parsed(&stat) else { continue };
        if its_group == group.as_raw_nonzero().get() {
            seen += 1;
            if !matches!(state, 'Z' | 'X') {
                living.push(Member { pid, name: name.to_owned() });
            }
        }
    }
    (seen, living)
}

/// Name, state and group; the name may hold anything, parentheses and spaces too.
fn parsed(stat: &str) -> Option<(&str, char, i32)> {
    let (before, after) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let mut fields = after.split(' ');
    let state = fields.next()?.chars().next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((name, state, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_may_contain_spaces_and_parentheses() {
        let stat = "77 (a) Z 1 (b) S 1 4711 77 0 -1 4194560 0";
        assert_eq!(parsed(stat), Some(("a) Z 1 (b", 'S', 4711)));
    }
}
