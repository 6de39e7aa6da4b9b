//! Numbers in the documents that are constants of the code: where one changes, the other has to.

use super::markdown::{Page, files, root};

/// The page, its words, and the line of the source or of `config.toml` that they repeat.
const NUMBERS: &[(&str, &str, &str)] = &[
    ("README.md", "(10 minutes, or what", "idle_timeout = \"10m\""),
    ("docs/certificates.md", "| 2 years |", "NODE_YEARS: u32 = 2;"),
    ("docs/certificates.md", "| 10 years |", "CA_YEARS: u32 = 10;"),
    ("docs/certificates.md", "valid for 397 days", "LIFETIME: Duration = Duration::from_secs(397 * 86_400);"),
    (
        "docs/certificates.md",
        "less than 30 days are left",
        "RENEW_BEFORE: Duration = Duration::from_secs(30 * 86_400);",
    ),
    ("docs/certificates.md", "In the last 30 days", "WARN_DAYS: u64 = 30;"),
    ("docs/clusters.md", "within 10 s takes the old place", "ORPHAN_MS: u64 = 10_000;"),
    (
        "docs/design/delivery.md",
        "for five seconds",
        "LOST_AFTER: Duration = Duration::from_secs(GRACE_MIN.as_secs() / 2);",
    ),
    ("docs/design/delivery.md", "for five seconds", "GRACE_MIN: Duration = Duration::from_secs(10);"),
    ("docs/design/replication.md", "every 200 ms", "TICK: Duration = Duration::from_millis(200);"),
    ("docs/design/time.md", "times 2¹⁰", "PER_MS: u64 = 1 << 10;"),
    ("docs/design/time.md", "below 2⁵³", "END: u64 = 1 << 53;"),
    ("docs/design/time.md", "once a second", "TICK_MAX: Duration = Duration::from_secs(1);"),
    ("docs/dialects/lockd.md", "1 to 128 letters", "NAME_BYTES_MAX: usize = 128;"),
    ("docs/dialects/raftlock.md", "-1000 to 1000", "(-1000..=1000)"),
    ("docs/disks.md", "half a MiB", "LOG_BYTES: usize = 512 << 10;"),
    ("docs/disks.md", "again every 2 s", "UNFIT_RETRY_DELAY: Duration = Duration::from_secs(2);"),
    ("docs/disks.md", "more than a second", "SLOW: Duration = Duration::from_secs(1);"),
    ("docs/http.md", "at most 128 letters", "LENGTH_MAX: usize = 128;"),
    ("docs/operations.md", "a quarter of the machine's memory", "TABLE_PART: u64 = 4;"),
    ("docs/operations.md", "four fifths", "credential_percent = 80"),
    ("docs/retries.md", "at least 10 minutes", "IDEMPOTENCY_KEY_KEPT_MS: u64 = 600_000;"),
];

#[test]
fn numbers_of_the_documents_are_those_of_the_source() {
    let sources =
        files(&["src", "config.toml"]).into_iter().filter(|file| file.ends_with(".rs") || file.ends_with(".toml"));
    let source: String =
        sources.map(|file| std::fs::read_to_string(root().join(file)).expect("a source file")).collect();
    for (page, words, line) in NUMBERS {
        let text = Page::read(page).text.replace('\n', " ");
        assert!(text.contains(words), "{page} does not say `{words}` any more");
        assert!(source.contains(line), "{page} says `{words}`, but the source has no `{line}` any more");
    }
}
