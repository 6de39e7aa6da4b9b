//! Bad text planted on purpose: a rule that cannot fail protects nothing.

use super::checks::{self, Source};
use super::lexer::code_of;

/// How many complaints a check has about a text at a path.
fn complaints(check: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
    check(&Source::new(path, text)).len()
}

#[test]
fn forbidden_imports_are_seen_in_every_form() {
    let bad = [
        ("src/domain/table.rs", "use crate::engine::Clock;"),
        ("src/engine/mod.rs", "use crate::{domain::Lock, dialects::code};"),
        ("src/dialects/sessions.rs", "fn f() { crate::server::run() }"),
        ("src/dialects/grpc/ldlm.rs", "use super::super::super::status::page;"),
        ("src/access/mod.rs", "use super::config;"),
        ("src/status/page.rs", "use crate::{\n    engine::{Reader, raft},\n    dialects::code,\n};"),
        ("src/main.rs", "fn main() { latchd::server::run() }"),
        ("src/attic/mod.rs", "//! A room that nobody knows."),
    ];
    for (path, text) in bad {
        assert_eq!(complaints(checks::imports, path, text), 1, "{path}: {text}");
    }
}

#[test]
fn allowed_imports_pass() {
    let good = [
        ("src/engine/mod.rs", "use crate::domain::{Lock, server};"),
        ("src/dialects/sessions.rs", "// crate::server is not for us\nuse super::code; use crate::access::Role;"),
        ("src/server/router.rs", "use crate::{dialects, status, engine::Engine};"),
        ("src/main.rs", "fn main() { latchd::cli::run() }"),
        ("src/lib.rs", "pub mod domain; pub use crate::server::run;"),
        ("src/domain/mod.rs", "let text = \"crate::engine\";"),
    ];
    for (path, text) in good {
        assert_eq!(complaints(checks::imports, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn reserved_words_are_seen_outside_their_place() {
    let text = "fn f() { let now = std::time::Instant::now(); }";
    assert_eq!(complaints(checks::reserved, "src/server/run.rs", text), 1);
    assert_eq!(complaints(checks::reserved, "src/base/clock.rs", text), 0);
    assert_eq!(complaints(checks::reserved, "src/engine/propose.rs", "use openraft::Raft;"), 1);
    assert_eq!(complaints(checks::reserved, "src/raft/log.rs", "use openraft::Raft;"), 0);
    assert_eq!(complaints(checks::reserved, "src/cli/serve.rs", "fn f() { todo!() }"), 1);
    assert_eq!(complaints(checks::reserved, "src/cli/serve.rs", "// todo!() and unsafe, in a comment"), 0);
    assert_eq!(complaints(checks::reserved, "src/cli/serve.rs", "#![forbid(unsafe_code)]"), 0);
}

#[test]
fn hash_map_in_domain_is_reported() {
    assert_eq!(complaints(checks::purity, "src/domain/table.rs", "use std::collections::HashMap;"), 1);
    assert_eq!(complaints(checks::purity, "src/domain/table.rs", "async fn f() {}"), 1);
    assert_eq!(complaints(checks::purity, "src/domain/table.rs", "use std::collections::BTreeMap;"), 0);
    assert_eq!(complaints(checks::purity, "src/engine/mod.rs", "use std::collections::HashMap;"), 0);
}

#[test]
fn notes_are_seen_in_comments() {
    let note = concat!("// FIX", "ME: later");
    assert_eq!(complaints(checks::notes, "src/cli/serve.rs", note), 1);
    assert_eq!(complaints(checks::notes, "src/cli/serve.rs", "// fixed later"), 0);
}

#[test]
fn stopwatches_of_busy_tests_are_seen() {
    for text in [
        "assert!(begun.elapsed() < Duration::from_secs(5), \"{took:?}\");",
        "assert!(took <= Duration::from_millis(1_500));",
        "assert!(ended.status.success() && begun.elapsed() < std::time::Duration::from_secs(5));",
    ] {
        assert_eq!(complaints(checks::stopwatches, "tests/cli/health.rs", text), 1, "{text}");
        assert_eq!(complaints(checks::stopwatches, "tests/cluster/removal.rs", text), 0, "{text}");
    }
    for text in [
        "assert!(begun.elapsed() < Duration::from_secs(20));",
        "assert!(begun.elapsed() < PATIENCE);",
        "assert!(begun.elapsed() >= Duration::from_millis(300));",
    ] {
        assert_eq!(complaints(checks::stopwatches, "tests/cli/health.rs", text), 0, "{text}");
    }
}

#[test]
fn long_files_and_functions_are_seen() {
    let long_file = "//! x\n".repeat(401);
    assert_eq!(complaints(checks::sizes, "src/cli/serve.rs", &long_file), 1);
    let body = |lines: usize| {
        format!("trait T {{ fn a(&self) -> u8; }}\nfn f<const N: usize>() {{\n{}}}\n", "    g('}');\n".repeat(lines))
    };
    assert_eq!(complaints(checks::sizes, "src/cli/serve.rs", &body(69)), 1);
    assert_eq!(complaints(checks::sizes, "src/cli/serve.rs", &body(68)), 0);
}

#[test]
fn missing_heading_is_reported() {
    assert_eq!(complaints(checks::heading, "src/cli/serve.rs", "use std::fmt;"), 1);
    assert_eq!(complaints(checks::heading, "src/cli/serve.rs", "//! Serves."), 0);
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "a /* b /* c */ d */ e // f\n'g' '\\'' r#\"h\"i\"# \"j\\\"k\" b\"l\" &'m n";
    let code: String = code_of(text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, "a e b &'m n");
}
