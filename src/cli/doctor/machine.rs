//! The machine of a server: its data directory, disk, open files, memory and clock.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use procfs::process::{LimitValue, Process};
use rustix::process::{Resource, getrlimit};

use super::certificates::unreadable;
use super::finding::Finding;
use crate::config::Config;
use crate::server::inspection;

const MIB: u64 = 1 << 20;
/// Of `f_type` in statfs(2).
const NFS: u64 = 0x6969;
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58f6;
const PROC: u64 = 0x9fa0;
const SMB: [u64; 3] = [0x517b, 0xfe53_4d42, 0xff53_4d42];

/// A file system, as far as the log cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Disk,
    Memory,
    Network,
}

impl Medium {
    fn of(kind: u64) -> Medium {
        match kind {
            TMPFS | RAMFS => Medium::Memory,
            NFS => Medium::Network,
            kind if SMB.contains(&kind) => Medium::Network,
            _ => Medium::Disk,
        }
    }
}

/// Everything that this machine shows without asking the server.
pub fn check(config: &Config, user: u32) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut process = None;
    if config.in_memory {
        findings.push(Finding::ok("in_memory", "nothing is kept on disk: a restart forgets every lock, as configured"));
    } else {
        let (found, pid) = data_dir(config, user);
        findings.extend(found);
        process = pid;
    }
    findings.push(open_files(config, process));
    findings.push(memory(config.locks.table_bytes_max, inspection::memory()));
    findings.push(wall_clock());
    findings
}

/// With the process that uses it.
fn data_dir(config: &Config, user: u32) -> (Vec<Finding>, Option<i32>) {
    let dir = &config.data_dir;
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let path = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
            return (vec![to_be_made(&path)], None);
        }
        Err(error) => return (vec![unreadable("data_dir", dir, &error)], None),
    };
    if !metadata.is_dir() {
        let what = format!("{} is a file", dir.display());
        return (vec![Finding::error("data_dir", what, "set data_dir to a directory")], None);
    }
    let (used, process) = in_use(dir, &metadata);
    let owner = process.and_then(|pid| Process::new(pid).ok()?.uid().ok()).unwrap_or(user);
    let mut findings = vec![used];
    findings.extend(access(dir, metadata.mode(), metadata.uid(), owner));
    findings.extend(disk(dir, config.storage.min_free_bytes));
    (findings, process)
}

/// The nearest directory that there is decides whether a start can make it.
fn to_be_made(dir: &Path) -> Finding {
    let above = dir.ancestors().skip(1).find(|path| path.exists()).unwrap_or(Path::new("/"));
    let may_make = rustix::fs::access(above, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    let is_real = rustix::fs::statfs(above).is_ok_and(|system| u64::try_from(system.f_type).ok() != Some(PROC));
    let dir = dir.display();
    match may_make {
        Ok(()) if is_real => Finding::ok("data_dir", format!("{dir} does not exist: the first start makes it")),
        _ => Finding::error(
            "data_dir",
            format!("{dir} does not exist, and cannot be made in {} by this user", above.display()),
            "make it for the user of the service, or set data_dir to another directory",
        ),
    }
}

/// Whoever reads the directory knows the keys of all holds.
fn access(dir: &Path, mode: u32, uid: u32, user: u32) -> Vec<Finding> {
    let dir = dir.display();
    let open = (mode & 0o077 != 0).then(|| {
        let what = format!("other users can enter {dir} (mode {:03o}), which holds the keys of locks", mode & 0o777);
        Finding::warn("data_dir", what, format!("chmod 700 {dir}"))
    });
    let foreign = (user != 0 && uid != user).then(|| {
        let what = format!("{dir} belongs to user {uid}, and not to user {user}");
        Finding::warn("data_dir", what, format!("chown it to the user that latchd runs as, or run this as user {uid}"))
    });
    open.into_iter().chain(foreign).collect()
}

/// Who holds the data-directory lock. It is read, and not tried: a server that starts at the same moment would be refused.
fn in_use(dir: &Path, metadata: &Metadata) -> (Finding, Option<i32>) {
    let locks = match procfs::locks() {
        Ok(locks) => locks,
        Err(error) => {
            let what = format!("who uses {} is not known: /proc/locks cannot be read ({error})", dir.display());
            return (Finding::unknown("data_dir", what, "mount /proc, or run this outside the sandbox"), None);
        }
    };
    let file = std::fs::metadata(dir.join("lock")).map(|file| file.ino()).ok();
    let holders = |inode: u64| locks.iter().filter(move |lock| lock.inode == inode).filter_map(|lock| lock.pid);
    // Inode numbers of two files, because the device in /proc/locks is not that of stat(2) on every file system.
    let process = holders(metadata.ino()).find(|pid| file.is_some_and(|file| holders(file).any(|other| other == *pid)));
    let dir = dir.display();
    match process {
        Some(pid) if pid > 0 => (Finding::ok("data_dir", format!("process {pid} uses {dir}")), Some(pid)),
        Some(_) => (Finding::ok("data_dir", format!("a process that cannot be seen from here uses {dir}")), None),
        None => (Finding::ok("data_dir", format!("no process that can be seen from here uses {dir}")), None),
    }
}

fn disk(dir: &Path, min_free_bytes: u64) -> Vec<Finding> {
    let (kind, space) = match (rustix::fs::statfs(dir), rustix::fs::statvfs(dir)) {
        (Ok(kind), Ok(space)) => (kind, space),
        (Err(error), _) | (_, Err(error)) => return vec![unreadable("data_dir", dir, &error.into())],
    };
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "its type differs between platforms")]
    let medium = Medium::of(kind.f_type as u64 & 0xffff_ffff);
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let total = space.f_blocks.saturating_mul(space.f_frsize);
    [Some(free_space(free, total, min_free_bytes)), on(medium, dir)].into_iter().flatten().collect()
}

fn on(medium: Medium, dir: &Path) -> Option<Finding> {
    let dir = dir.display();
    match medium {
        Medium::Disk => None,
        Medium::Memory => Some(Finding::warn(
            "data_dir",
            format!("{dir} is in memory (tmpfs): a power loss forgets locks that were answered"),
            "put data_dir on a disk, or choose in_memory",
        )),
        Medium::Network => Some(Finding::warn(
            "data_dir",
            format!("{dir} is on a network file system: flushes are slow, and its locks may not keep others out"),
            "put data_dir on a disk of this machine",
        )),
    }
}

fn free_space(free: u64, total: u64, min_free_bytes: u64) -> Finding {
    let shown = format!("{} MiB of {} MiB are free on the data disk", free / MIB, total / MIB);
    let limit = min_free_bytes / MIB;
    let advice = "free some space, or move data_dir to a larger disk; see docs/disks.md";
    match free {
        free if free < min_free_bytes => {
            let what = format!("{shown}: new locks are refused below {limit} MiB (storage.min_free_bytes)");
            Finding::error("storage.min_free_bytes", what, advice)
        }
        free if free < min_free_bytes.saturating_mul(4) => {
            let what = format!("{shown}: new locks will be refused below {limit} MiB (storage.min_free_bytes)");
            Finding::warn("storage.min_free_bytes", what, advice)
        }
        _ => Finding::ok("storage.min_free_bytes", shown),
    }
}

/// Of the server's process where it is known and may be looked at, else of this one.
fn open_files(config: &Config, process: Option<i32>) -> Finding {
    let wanted = inspection::files_wanted(config.server.connections_max, config.server.worker_threads());
    let of_process = process.map(|pid| {
        let limits = Process::new(pid).and_then(|process| process.limits());
        limits.map(|limits| (limits.max_open_files.soft_limit, pid))
    });
    let (limit, whose) = match of_process {
        Some(Ok((LimitValue::Value(files), pid))) => (files, format!("process {pid}")),
        Some(Ok((LimitValue::Unlimited, pid))) => (u64::MAX, format!("process {pid}")),
        Some(Err(error)) => {
            return Finding::unknown(
                "server.connections_max",
                format!("the limit of open files of the server's process cannot be read ({error})"),
                "run this as the user of the service, or as root",
            );
        }
        // A server raises its limit as far as it may.
        None => (getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX), "a process started from here".to_owned()),
    };
    files(limit, wanted, &whose)
}

fn files(limit: u64, wanted: u64, whose: &str) -> Finding {
    let shown = if limit == u64::MAX { "any number of".to_owned() } else { limit.to_string() };
    let what = format!("{whose} may open {shown} files, and server.connections_max needs {wanted}");
    match limit < wanted {
        true => Finding::warn(
            "server.connections_max",
            what,
            "raise the limit (LimitNOFILE of the unit, ulimit -n), or lower server.connections_max",
        ),
        false => Finding::ok("server.connections_max", what),
    }
}

fn memory(configured: u64, memory: u64) -> Finding {
    let table = if configured > 0 { configured } else { inspection::table_bytes_max(0) };
    let what = format!("the table may use {} MiB of {} MiB of memory", table / MIB, memory / MIB);
    match table > memory / 2 {
        true => Finding::warn(
            "locks.table_bytes_max",
            format!("{what}; a snapshot may need as much again"),
            "lower locks.table_bytes_max, or give the machine more memory",
        ),
        false => Finding::ok("locks.table_bytes_max", what),
    }
}

fn wall_clock() -> Finding {
    let now = inspection::rfc3339(inspection::unix_time().as_secs());
    match inspection::check_wall_clock(false) {
        Ok(()) => Finding::ok("clock", format!("this machine's clock reads {now}")),
        Err(error) => Finding::error("clock", error.to_string(), "set the clock (timedatectl set-ntp true)"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn free_space_below_four_limits_is_warned_of_and_below_one_is_an_error() {
        for (free, level) in [(1000, Level::Ok), (255, Level::Warn), (63, Level::Error)] {
            let found = free_space(free * MIB, 2000 * MIB, 64 * MIB);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.finding.contains(&format!("{free} MiB of 2000 MiB")), "{found:?}");
        }
    }

    #[test]
    fn file_systems_in_memory_and_on_the_network_are_warned_of() {
        assert_eq!(
            [TMPFS, NFS, SMB[2], 0xef53].map(Medium::of),
            [Medium::Memory, Medium::Network, Medium::Network, Medium::Disk]
        );
        let found = [Medium::Disk, Medium::Memory, Medium::Network].map(|medium| on(medium, Path::new("data")));
        assert_eq!(
            found.map(|finding| finding.map(|finding| finding.level)),
            [None, Some(Level::Warn), Some(Level::Warn)]
        );
    }

    #[test]
    fn open_or_foreign_data_directory_is_warned_of() {
        let dir = Path::new("data");
        assert_eq!(access(dir, 0o40_700, 7, 7), []);
        assert_eq!(access(dir, 0o40_700, 7, 0), [], "root may look at any");
        assert!(access(dir, 0o40_750, 7, 7)[0].finding.contains("mode 750"));
        assert!(access(dir, 0o40_700, 7, 8)[0].finding.contains("belongs to user 7"));
    }

    #[test]
    fn few_open_files_and_little_memory_are_warned_of() {
        assert_eq!(files(1024, 1025, "it").level, Level::Warn);
        assert_eq!(files(u64::MAX, 1025, "it").level, Level::Ok);
        assert_eq!(memory(600 * MIB, 1000 * MIB).level, Level::Warn);
        assert_eq!(memory(400 * MIB, 1000 * MIB).level, Level::Ok);
    }
}
