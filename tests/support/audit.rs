//! An audit file, as whoever reads it sees it.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

use super::certificate::scratch_directory;

/// A directory with an audit file.
pub struct Trail {
    home: tempfile::TempDir,
}

impl Trail {
    pub fn new() -> Self {
        let trail = Self { home: tempfile::tempdir_in(scratch_directory()).expect("a directory can be made") };
        trail.make_directory();
        trail
    }

    pub fn file(&self) -> PathBuf {
        self.directory().join("audit.log")
    }

    pub fn directory(&self) -> PathBuf {
        Path::new(self.home.path()).join("audit")
    }

    pub fn make_directory(&self) {
        fs::create_dir(self.directory()).expect("a directory can be made");
    }

    pub fn remove_directory(&self) {
        fs::remove_dir_all(self.directory()).expect("the directory can be removed");
    }

    /// The section of the configuration file.
    pub fn configuration(&self, on_failure: &str, file_bytes_max: &str) -> String {
        let file = self.file().display().to_string();
        format!("[audit]\nfile = {file:?}\non_failure = {on_failure:?}\nfile_bytes_max = {file_bytes_max:?}\n")
    }

    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap_or_default()
    }

    /// Each must be JSON.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "half a line: {text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// The line that tells how the first act of this kind ended.
pub fn done<'a>(lines: &'a [Value], action: &str) -> Option<&'a Value> {
    lines.iter().find(|line| line["stage"] == "outcome" && line["action"] == action)
}
