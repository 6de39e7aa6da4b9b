//! A disk whose flushes fail: the process ends before it answers a request that is not on disk.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::kit::{Caller, home, json_of, until};
use crate::cluster::disk::SmallDisk;
use crate::proof::tools::{output, program, run};
use crate::support::spec::Spec;

const SIGABRT: i32 = 6;
/// More than the disk below it has: writes fail although the file system has free space.
const PROMISED: &str = "256M";
/// More than fit into the space that the log has already, and into the pages that the kernel has not written yet.
const ANSWERS_MAX: u32 = 20_000;

/// A file system on a loop device over a file that cannot grow as far as it says. Unmounted when dropped.
struct Promising {
    image: PathBuf,
    folder: PathBuf,
}

impl Promising {
    fn new(image: &Path, folder: &Path) -> Self {
        run(program("truncate").args(["-s", PROMISED]).arg(image));
        run(program("mkfs.ext4")
            .args(["-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-J", "size=4"])
            .arg(image));
        let disk = Self { image: image.to_owned(), folder: folder.to_owned() };
        disk.mount();
        disk
    }

    fn mount(&self) {
        std::fs::create_dir_all(&self.folder).expect("a mount point can be made");
        run(program("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.image).arg(&self.folder));
    }

    fn unmount(&self) {
        output(program("umount").arg(&self.folder));
    }
}

impl Drop for Promising {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[test]
fn failed_flush_ends_process_and_keeps_answered_locks() {
    let home = home();
    let below = SmallDisk::mount(&home.path().join("below"));
    let disk = Promising::new(&home.path().join("below/disk.img"), &home.path().join("mnt"));
    let data = disk.folder.join("data");
    let spec = Spec::durable(&data);
    let mut server = spec.start();
    let mut caller = Caller::open(&server);
    let kept = caller.take("kept", &json!({}));
    below.fill();
    let mut answered = vec![("kept".to_owned(), kept)];
    for number in 0.. {
        assert!(number < ANSWERS_MAX, "nothing reaches the disk, and requests are answered");
        let name = format!("lock-{number}");
        let body = json!({"name": name, "lock_timeout_seconds": 36_000, "metadata": {"fill": "x".repeat(250)}});
        match caller.0.try_send("POST", "/v1/lock", body.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => {
                answered.push((name, json_of(&answer)["key"].as_str().expect("a key").to_owned()));
            }
            Ok(answer) => assert!(answer.status >= 500, "{} {}", answer.status, answer.text()),
            Err(_) => break,
        }
    }
    until("the process ends", || server.ended().is_some());
    let (status, told) = (server.ended().expect("it has ended"), server.stderr());
    assert_eq!(status.signal(), Some(SIGABRT), "{told}");
    // EIO, or ENOSPC where the kernel passes on what the file below the loop device had to say, or EROFS where the journal was
    // the first that could not be written.
    let is_failure = ["os error 5", "os error 28", "os error 30"].iter().any(|error| told.contains(error));
    assert!(told.contains("cannot write the log") && is_failure, "{told}");
    below.empty();
    disk.unmount();
    disk.mount();
    let server = spec.start();
    caller.0.move_to(&server);
    for (name, key) in &answered {
        let shown = caller.0.get(&format!("/v1/locks/{name}"));
        assert_eq!(json_of(&shown)["holders"][0]["key"].as_str(), Some(&**key), "{name}: {}", shown.text());
    }
    drop(server);
}
