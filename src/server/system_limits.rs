//! What the system allows this process: open files, which also bound connections, and memory.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::proxy_header;
use super::workers::{FILES_PER_WORKER, UNTAKEN_MAX};

/// Files that are no connections: listeners, the log, snapshots, other nodes, the main runtime's own, and connections that
/// were taken from the kernel a moment ago and are about to be refused. They must never be without one: a snapshot that
/// cannot be opened ends the process.
const OTHER_FILES_MAX: u64 = 512;

/// Allows as many files as `connections_max` needs, as far as the system lets us; how many connections there may be. If
/// the system does not, they are fewer, and it logs a warning.
pub fn allow_connections(connections_max: usize, workers: usize) -> usize {
    let others = other_files(workers);
    let wanted = files_wanted(connections_max, workers);
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

fn other_files(workers: usize) -> u64 {
    let arriving = UNTAKEN_MAX as u64 + proxy_header::READING_MAX as u64;
    OTHER_FILES_MAX + arriving + workers as u64 * FILES_PER_WORKER
}

/// How many files so many connections need open.
pub fn files_wanted(connections_max: usize, workers: usize) -> u64 {
    connections_max as u64 + other_files(workers)
}

/// The connections that so many files leave room for: half of them at least where there are few.
fn allowed(connections_max: usize, files: u64, others: u64) -> usize {
    let left = files - others.min(files / 2);
    connections_max.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

/// The table gets this part of it: a snapshot that is being written may keep a second copy of the table, and there are
/// connections, the log's cache and the allocator besides.
const TABLE_PART: u64 = 4;

/// `locks.table_bytes_max`, or the table's part of the memory where that is 0.
pub fn table_bytes_max(configured: u64) -> u64 {
    if configured > 0 { configured } else { memory().max(1) / TABLE_PART }
}

/// What the system itself says is the last word: a unit may not see `/proc/meminfo` (`ProcSubset=pid`).
pub fn memory() -> u64 {
    let system = rustix::system::sysinfo();
    let total = (system.totalram as u64).saturating_mul(u64::from(system.mem_unit).max(1));
    memory_below(Path::new("/")).unwrap_or(total).min(total)
}

/// The least of all limits that are found below this root.
fn memory_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(group_of).flat_map(|(folder, path, file)| {
        // From the group itself up to the top, which is all that a container may see.
        let path = PathBuf::from(path.trim_start_matches('/'));
        let ancestors: Vec<PathBuf> = path.ancestors().map(|above| root.join(folder).join(above).join(file)).collect();
        ancestors.into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok())
    });
    limits.chain(of_machine(root)).min()
}

/// The parts of a line of `/proc/self/cgroup`: the mounted folder, the group in it, and the file with the limit.
fn group_of(line: &str) -> Option<(&'static str, &str, &'static str)> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    if controllers.is_empty() {
        return Some(("sys/fs/cgroup", path, "memory.max"));
    }
    let has_memory = controllers.split(',').any(|controller| controller == "memory");
    has_memory.then_some(("sys/fs/cgroup/memory", path, "memory.limit_in_bytes"))
}

fn of_machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_connections_keep_their_reserve() {
        assert_eq!(allowed(10_000, 1 << 20, 512), 10_000);
        assert_eq!(allowed(10_000, 10_512, 512), 10_000);
        assert_eq!(allowed(10_000, 10_511, 512), 9_999);
        assert_eq!(allowed(10_000, 1_024, 512), 512);
        assert_eq!(allowed(10_000, 64, 512), 32);
        assert_eq!(allowed(10, 0, 512), 1);
    }

    const MEMINFO: (&str, &str) = ("proc/meminfo", "MemTotal:        4096 kB\nMemFree: 1 kB\n");

    fn memory(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().expect("a temporary directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        }
        memory_below(root.path())
    }

    #[test]
    fn smallest_memory_limit_of_group_and_machine_counts() {
        let of_v2 = ("proc/self/cgroup", "0::/pod/latchd\n");
        assert_eq!(memory(&[MEMINFO]), Some(4 << 20));
        let unlimited = ("sys/fs/cgroup/pod/latchd/memory.max", "max\n");
        assert_eq!(memory(&[MEMINFO, of_v2, unlimited]), Some(4 << 20));
        let above = ("sys/fs/cgroup/pod/memory.max", "1048576\n");
        assert_eq!(memory(&[MEMINFO, of_v2, unlimited, above]), Some(1 << 20));
        // Seen from within a container, the path of the group leads nowhere.
        let top = ("sys/fs/cgroup/memory.max", "2097152\n");
        assert_eq!(memory(&[MEMINFO, of_v2, top]), Some(2 << 20));
        let of_v1 = ("proc/self/cgroup", "5:cpu,memory:/latchd\n4:pids:/latchd\n");
        let v1 = ("sys/fs/cgroup/memory/latchd/memory.limit_in_bytes", "3145728\n");
        assert_eq!(memory(&[MEMINFO, of_v1, v1]), Some(3 << 20));
        let endless = ("sys/fs/cgroup/memory/latchd/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory(&[MEMINFO, of_v1, endless]), Some(4 << 20));
        assert_eq!(memory(&[]), None);
    }

    #[test]
    fn configured_memory_limit_is_used_unchanged() {
        assert_eq!(table_bytes_max(7), 7);
        assert!(table_bytes_max(0) > 1 << 20);
    }
}
