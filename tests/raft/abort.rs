//! A log that cannot be written ends the process, and nothing is answered from it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use latchd::base::config_value::LogFormat;
use latchd::telemetry::logs::{self, Logging};

use super::support::{on_disk, start};

const DIR: &str = "LATCHD_TEST_UNWRITABLE_DIR";
const SIGABRT: i32 = 6;

/// What the child of the test below runs, with the files it may write limited to 64 KiB: it prints each entry once the
/// entry is applied. Run by itself it has nothing to do.
#[tokio::test]
async fn child_writes_until_disk_refuses() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let logging = Logging { level: tracing::Level::ERROR, format: LogFormat::Text, file: None, colours: false };
    logs::start(logging).expect("a log");
    let (node, _) = start(on_disk(Path::new(&dir))).await.expect("a node");
    for number in 0.. {
        node.propose(format!("{number:0100}").into()).await.expect("the process ends before this fails");
        println!("applied {number}");
    }
}

#[tokio::test]
async fn failed_log_write_aborts_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let this_test = std::env::current_exe().expect("the test binary");
    let run = format!(
        "trap '' XFSZ; ulimit -c 0; ulimit -f 128; exec {} --exact raft::abort::child_writes_until_disk_refuses \
         --nocapture --test-threads 1",
        this_test.display()
    );
    let child = Command::new("sh").args(["-c", &run]).env(DIR, dir.path()).output().expect("sh");
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(SIGABRT), "{stderr}");
    assert!(stderr.contains("cannot write the log: File too large"), "{stderr}");
    let stdout = String::from_utf8_lossy(&child.stdout);
    let answered = stdout.lines().filter(|line| line.contains("applied ")).count();
    assert!(answered > 100, "{stdout}");
    let (node, journal) = start(on_disk(dir.path())).await.expect("the directory is still good");
    node.propose("again".into()).await.expect("applied");
    let applied = journal.strings();
    // One more than was answered may have reached the disk whole.
    assert!((answered..=answered + 1).contains(&(applied.len() - 1)), "{answered} answered, {} found", applied.len());
    node.shutdown().await;
}
