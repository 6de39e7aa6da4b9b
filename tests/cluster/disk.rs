//! A data directory on a file system of a few mebibytes, which a test can fill.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::proof::tools::{output, program, run};

/// Room for a log and a snapshot or two.
const SIZE: &str = "size=40M";
const FILLER: &str = "filler";

/// A tmpfs; unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it over `folder`. Needs root.
    pub fn mount(folder: &Path) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test mounts a file system and must run as root");
        std::fs::create_dir_all(folder).expect("a mount point can be made");
        run(program("mount").args(["-t", "tmpfs", "-o", SIZE, "latchd-proof"]).arg(folder));
        Self { folder: folder.to_owned() }
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = File::create(self.folder.join(FILLER)).expect("a file can be made");
        for size in [1 << 20, 4096, 1] {
            // The error is the aim: no room for another piece of this size.
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Takes all the room but this much.
    pub fn fill_but(&self, bytes: u64) {
        self.fill();
        let file = File::options().write(true).open(self.folder.join(FILLER)).expect("the file is there");
        let taken = file.metadata().expect("its length").len();
        file.set_len(taken.checked_sub(bytes).expect("there was as much room")).expect("it can be cut");
    }

    /// Gives it back.
    pub fn empty(&self) {
        std::fs::remove_file(self.folder.join(FILLER)).expect("the file can be removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that still ends holds it a little longer.
        output(program("umount").arg("-l").arg(&self.folder));
    }
}
