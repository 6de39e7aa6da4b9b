//! `latchd man`: pages that `man` can show.

use crate::support::process::run_to_end;
use std::fs;

#[test]
fn manual_pages_have_every_shown_subcommand_with_its_examples() {
    let folder = tempfile::tempdir().expect("a directory");
    let dir = folder.path().join("man1");
    let written = run_to_end(&["man", dir.to_str().expect("UTF-8")]);
    assert!(written.status.success(), "{}", written.stderr);
    let mut names: Vec<String> = fs::read_dir(&dir)
        .expect("made")
        .map(|entry| entry.expect("read").file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.iter().any(|name| name.contains("child") || name.contains("help")), "{names:?}");
    for page in ["latchd.1", "latchd-lock.1", "latchd-members-add.1"] {
        assert!(names.iter().any(|name| name == page), "{page} is not in {names:?}");
        let text = fs::read_to_string(dir.join(page)).expect("the page");
        assert!(
            text.starts_with(".ie") && text.contains(".SH OPTIONS") && text.contains(".SH NOTES"),
            "{page}: {text}"
        );
        // A line of its own, however the text around it is filled.
        assert!(text.contains("\n.nf\n  latchd "), "{page}: {text}");
    }
}

#[test]
fn manual_pages_name_the_directory_that_cannot_be_written() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let below = file.path().join("man1");
    let refused = run_to_end(&["man", below.to_str().expect("UTF-8")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains(below.to_str().unwrap()), "{}", refused.stderr);
}
