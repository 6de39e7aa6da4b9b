//! How much memory this process may have: its control group's limit, or what the machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// The table gets this part of it: a snapshot that is being written may keep a second copy of the table, and there are
/// connections, the log's cache and the allocator besides.
const TABLE_PART: u64 = 4;

/// `locks.table_bytes_max`, or the table's part of the memory where that is 0.
pub fn table_bytes_max(configured: u64) -> u64 {
    if configured > 0 { configured } else { memory().max(1) / TABLE_PART }
}

/// What the system itself says is the last word: a unit may not see `/proc/meminfo` (`ProcSubset=pid`).
fn memory() -> u64 {
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

/// Of a line of `/proc/self/cgroup`: the mounted folder, the group in it, and the file with the limit.
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
