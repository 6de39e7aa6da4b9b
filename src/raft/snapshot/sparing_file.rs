//! A file that leaves the log beside it the space that it needs.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::raft::data_dir::space::check_spares;
use crate::raft::snapshot::file::Target;

/// A snapshot's file, which stops growing before the log beside it has no room any more.
#[derive(Debug)]
pub struct SparingFile<'a> {
    file: File,
    dir: &'a Path,
}

impl<'a> SparingFile<'a> {
    pub fn create(path: &Path, dir: &'a Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)?, dir })
    }
}

impl Write for SparingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_spares(self.dir, bytes.len())?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Target for SparingFile<'_> {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}
