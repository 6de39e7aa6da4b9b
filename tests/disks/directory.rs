//! A data directory belongs to one process, which ends when the directory is removed.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::certificate::scratch_directory;
use crate::support::process::Server;
use crate::support::spec::Spec;

const SIGABRT: i32 = 6;
/// Twice the promised time, for a busy machine.
const NOTICED_WITHIN: Duration = Duration::from_secs(2);

fn home() -> tempfile::TempDir {
    tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made")
}

/// The lock file can be removed; the directory itself is locked too.
#[test]
fn second_process_is_refused_even_without_lock_files() {
    let home = home();
    let spec = Spec::durable(&home.path().join("data"));
    let mut first = spec.start();
    for file in ["lock", "log/LOCK"] {
        drop(fs::remove_file(home.path().join("data").join(file)));
    }
    let told = spec.try_start().err().expect("a refusal");
    assert!(told.contains("is in use by another process"), "{told}");
    assert!(first.ended().is_none(), "{}", first.stderr());
    first.kill();
    spec.start();
}

fn ends(server: &mut Server) {
    let began = Instant::now();
    let status = loop {
        if let Some(status) = server.ended() {
            break status;
        }
        assert!(began.elapsed() < NOTICED_WITHIN, "it still runs: {}", server.stderr());
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.signal(), Some(SIGABRT), "{}", server.stderr());
}

/// Changes the directory, and checks the last line of the process.
fn ends_after(change: impl FnOnce(&Path), said: &str) {
    let home = home();
    let dir = home.path().join("data");
    let mut server = Spec::durable(&dir).start();
    change(&dir);
    ends(&mut server);
    let told = server.stderr();
    assert!(told.contains("the data directory was removed") && told.contains(said), "{told}");
}

#[test]
fn process_ends_when_data_directory_is_removed() {
    ends_after(|dir| fs::remove_dir_all(dir).expect("removed"), "is gone");
}

#[test]
fn process_ends_when_data_directory_is_replaced() {
    let replace = |dir: &Path| {
        fs::rename(dir, dir.with_extension("moved")).expect("moved");
        fs::create_dir(dir).expect("made");
    };
    ends_after(replace, "is another directory now");
}

#[test]
fn process_ends_when_log_is_removed() {
    let empty = |dir: &Path| {
        for file in fs::read_dir(dir.join("log")).expect("the log").map(|file| file.expect("a file").path()) {
            fs::remove_file(file).expect("removed");
        }
    };
    ends_after(empty, ".wal is gone");
}
