//! The house rules that a compiler does not check, read off the source text.
//!
//! The tables below are the rules; `checks.rs` applies them and `planted.rs` proves on bad text that each can fail.

mod checks;
mod lexer;
mod planted;

use std::path::{Path, PathBuf};

use checks::Source;

/// Who may import whom, room by room. A room may always import itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("access", &[]),
    ("cli", &["access", "client", "config", "server", "telemetry"]),
    ("client", &[]),
    ("config", &["access", "domain", "engine"]),
    ("dialects", &["access", "domain", "engine"]),
    ("domain", &[]),
    ("engine", &["domain"]),
    ("mutants", &[]),
    ("server", &["access", "config", "dialects", "domain", "engine", "status", "telemetry"]),
    ("status", &["access", "domain", "engine"]),
    ("telemetry", &[]),
];

/// Rooms that every other may import: planted bugs have to be planted.
const OPEN: &[&str] = &["mutants"];

/// A word, the only places that may say it (prefixes of paths), and why.
pub struct Reserved {
    pub word: &'static str,
    pub only_in: &'static [&'static str],
    pub why: &'static str,
}

const CLOCK: &[&str] = &["src/engine/clock.rs"];
const RAFT: &[&str] = &["src/engine/raft/"];

/// Words of the source (comments and strings aside) that belong to few places or to none.
const RESERVED: &[Reserved] = &[
    Reserved { word: "Instant::now", only_in: CLOCK, why: "one file reads the clock" },
    Reserved { word: "SystemTime::now", only_in: CLOCK, why: "one file reads the clock" },
    Reserved { word: "UNIX_EPOCH", only_in: CLOCK, why: "one file reads the clock" },
    Reserved { word: "elapsed()", only_in: CLOCK, why: "it reads the clock" },
    Reserved { word: "openraft", only_in: RAFT, why: "one room knows the consensus library" },
    Reserved { word: "raft_log", only_in: RAFT, why: "one room knows the log store" },
    Reserved { word: "unsafe", only_in: &[], why: "nothing here needs it" },
    Reserved { word: "dbg!", only_in: &[], why: "it is a leftover" },
    Reserved { word: "todo!", only_in: &[], why: "nothing is left undone" },
    Reserved { word: "unimplemented!", only_in: &[], why: "nothing is left undone" },
];

/// Words that the pure room may not say: they are unordered, asynchronous, or reach outside.
const NOT_IN_DOMAIN: &[&str] = &[
    "HashMap",
    "HashSet",
    "async",
    "await",
    "tokio",
    "axum",
    "Instant",
    "SystemTime",
    "getrandom",
    "uuid",
    "tracing",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "f32",
    "f64",
];

/// Notes to oneself, looked for in comments too. Split so that this file does not hold them.
const NOTES: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];

const LINES_PER_FILE: usize = 400;
const LINES_PER_FUNCTION: usize = 70;

#[test]
fn the_source_keeps_the_house_rules() {
    let sources = read_all(&["src", "tests", "benches"]);
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the source was not found");
    let complaints: Vec<String> = sources.iter().flat_map(checks::all).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

fn read_all(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in folders {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    files.iter().map(|file| Source::read(root, file)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
