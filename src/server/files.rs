//! The bound on open files, which also bounds connections: what is not theirs must never be without one, or a snapshot
//! that cannot be opened ends the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::workers::{FILES_PER_WORKER, UNTAKEN_MAX};

/// Files that are no connections: listeners, the log, snapshots, other nodes, the main runtime's own, and connections that
/// were taken from the kernel a moment ago and are about to be refused.
const OTHER_FILES_MAX: u64 = 512;

/// Allows as many files as `connections_max` needs, as far as the system lets us; how many connections there may be, which
/// is fewer where it does not, and said.
pub fn allow_connections(connections_max: usize, workers: usize) -> usize {
    let others = OTHER_FILES_MAX + UNTAKEN_MAX as u64 + workers as u64 * FILES_PER_WORKER;
    let wanted = connections_max as u64 + others;
    let limit = getrlimit(Resource::Nofile);
    let unlimited = |bound: Option<u64>| bound.unwrap_or(u64::MAX);
    if unlimited(limit.current) < wanted {
        let raised = Rlimit { current: Some(wanted.min(unlimited(limit.maximum))), maximum: limit.maximum };
        // It can only fail where lowering would too; what is in force then is logged below.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let files = unlimited(getrlimit(Resource::Nofile).current);
    let allowed = allowed(connections_max, files, others);
    if allowed < connections_max {
        tracing::warn!(
            files,
            wanted,
            allowed,
            "the system allows {files} open files, but server.connections_max = {connections_max} needs {wanted}: at \
             most {allowed} connections are taken; raise the limit (ulimit -n, LimitNOFILE) or lower \
             server.connections_max"
        );
    }
    allowed
}

/// The connections that so many files leave room for: half of them at least where there are few.
fn allowed(connections_max: usize, files: u64, others: u64) -> usize {
    let left = files - others.min(files / 2);
    connections_max.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn files_beside_connections_keep_their_reserve() {
        assert_eq!(allowed(10_000, 1 << 20, 512), 10_000);
        assert_eq!(allowed(10_000, 10_512, 512), 10_000);
        assert_eq!(allowed(10_000, 10_511, 512), 9_999);
        assert_eq!(allowed(10_000, 1_024, 512), 512);
        assert_eq!(allowed(10_000, 64, 512), 32);
        assert_eq!(allowed(10, 0, 512), 1);
    }
}
