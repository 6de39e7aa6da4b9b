//! Many runs on one name lose no increment.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::job::{lock, run};
use crate::support::spec::Spec;

const RUNS: usize = 1000;
const AT_ONCE: usize = 64;

#[test]
fn thousand_concurrent_runs_lose_no_increment() {
    let server = Spec::in_memory().start();
    let folder = tempfile::tempdir().expect("a directory");
    let counter = folder.path().join("counter");
    std::fs::write(&counter, "0\n").expect("written");
    // Reads and writes apart, so that two at once would lose one.
    let script = format!("read -r n < {0}; echo $((n + 1)) > {0}", counter.display());
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while begun.fetch_add(1, Ordering::Relaxed) < RUNS {
                    let ended = run(lock(&server, "counter", &["--wait", "5m"], &script));
                    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
                }
            });
        }
    });
    assert_eq!(std::fs::read_to_string(&counter).expect("read").trim(), RUNS.to_string());
}
