//! The bound on open files, which also bounds connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections: listeners, the log, snapshots, the runtime's own.
const OTHER_FILES: u64 = 256;

/// Allows as many files as `connections_max` needs, as far as the system lets us, and says so where it does not.
pub fn allow_connections(connections_max: usize) {
    let wanted = connections_max as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let unlimited = |bound: Option<u64>| bound.unwrap_or(u64::MAX);
    if unlimited(limit.current) >= wanted {
        return;
    }
    let raised = Rlimit { current: Some(wanted.min(unlimited(limit.maximum))), maximum: limit.maximum };
    // It can only fail where lowering would too; what is in force then is told below.
    let _ = setrlimit(Resource::Nofile, raised);
    let files = unlimited(getrlimit(Resource::Nofile).current);
    if files < wanted {
        tracing::warn!(
            files,
            wanted,
            "the system allows {files} open files, but server.connections_max needs {wanted}: raise the limit \
             (ulimit -n, LimitNOFILE) or lower server.connections_max"
        );
    }
}
