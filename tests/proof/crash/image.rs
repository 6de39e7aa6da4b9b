//! A file system in a file, mounted on a loop device: its copy is what a power loss would leave.

use std::path::{Path, PathBuf};

use crate::proof::tools::{program, run};

/// Room for the server's own minimum of free space.
const SIZE: &str = "512M";
/// The file system commits nothing by itself while a test runs: only what the server flushes is in the file.
const COMMIT_INTERVAL_SECONDS: u32 = 3600;

/// An ext4 image and where it is mounted; unmounted when dropped.
pub struct Mounted {
    file: PathBuf,
    folder: PathBuf,
}

impl Mounted {
    /// Makes a new file system. Needs root.
    pub fn new(file: &Path, folder: &Path) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test mounts a file system and must run as root");
        run(program("truncate").args(["-s", SIZE]).arg(file));
        run(program("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(file));
        Self::mount(file, folder)
    }

    /// Mounts an image that exists; its journal is replayed as after a power loss.
    pub fn mount(file: &Path, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a mount point can be made");
        let options = format!("loop,commit={COMMIT_INTERVAL_SECONDS}");
        run(program("mount").args(["-t", "ext4", "-o", &options]).arg(file).arg(folder));
        Self { file: file.to_owned(), folder: folder.to_owned() }
    }

    /// Where the data directory of the server is to be.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Copies the image as it is now, what the kernel still holds back left out.
    pub fn copy_to(&self, file: &Path) {
        run(program("cp").arg("--sparse=always").arg(&self.file).arg(file));
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let status = program("umount").arg(&self.folder).status();
        if !status.is_ok_and(|status| status.success()) && !std::thread::panicking() {
            panic!("{} could not be unmounted", self.folder.display());
        }
    }
}
