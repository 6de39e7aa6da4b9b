//! No file of `src/` imports in a circle: of two files that import each other, neither can be read first.

use std::collections::BTreeSet;

use super::checks::Source;
use super::imports::{Graph, graph};
use super::read_all;

/// Circles that are not untangled yet. They may shrink, never grow, and no other may be added.
const KNOWN: &[&[&str]] = &[
    &["src/access/credential.rs", "src/access/hashing.rs"],
    &["src/api/cluster/backup.rs", "src/api/cluster/mod.rs"],
    &["src/api/events/ask.rs", "src/api/events/mod.rs", "src/api/mod.rs"],
    &[
        "src/api/events/stream.rs",
        "src/http/delivery.rs",
        "src/http/failed_logins.rs",
        "src/http/grpc/connection.rs",
        "src/http/hint.rs",
        "src/http/peer.rs",
        "src/http/service.rs",
        "src/http/unknown.rs",
    ],
    &["src/cli/completions.rs", "src/cli/health.rs", "src/cli/mod.rs", "src/cli/serve.rs"],
    &["src/cli/lock/acquire.rs", "src/cli/lock/mod.rs", "src/cli/lock/run.rs"],
    &[
        "src/client/builder.rs",
        "src/client/call.rs",
        "src/client/error.rs",
        "src/client/met.rs",
        "src/client/mod.rs",
        "src/client/trust.rs",
        "src/client/wire.rs",
    ],
    &["src/config/error.rs", "src/config/layers.rs"],
    &["src/config/log.rs", "src/config/mod.rs"],
    &["src/dialects/ldlm/rest/caller.rs", "src/dialects/ldlm/rest/holds.rs"],
    &["src/dialects/raftlock/grpc/holds.rs", "src/dialects/raftlock/grpc/queue.rs"],
    &["src/domain/command.rs", "src/domain/limits.rs", "src/domain/outcome.rs"],
    &[
        "src/domain/idempotency.rs",
        "src/domain/index.rs",
        "src/domain/nodes.rs",
        "src/domain/session.rs",
        "src/domain/table.rs",
        "src/domain/usage.rs",
        "src/domain/view.rs",
    ],
    &["src/domain/snapshot/mod.rs", "src/domain/snapshot/restore.rs"],
    &[
        "src/engine/cluster/members.rs",
        "src/engine/cluster/reads.rs",
        "src/engine/cluster/wire.rs",
        "src/engine/cluster/wire_members.rs",
        "src/engine/compare/verdict.rs",
        "src/engine/core.rs",
        "src/engine/delivery.rs",
        "src/engine/error.rs",
        "src/engine/events/feed.rs",
        "src/engine/events/reader.rs",
        "src/engine/events/ring.rs",
        "src/engine/events/state.rs",
        "src/engine/events/wanted.rs",
        "src/engine/face.rs",
        "src/engine/intake.rs",
        "src/engine/machine.rs",
        "src/engine/pending.rs",
    ],
    &[
        "src/raft/dir.rs",
        "src/raft/error.rs",
        "src/raft/log_memory.rs",
        "src/raft/meters.rs",
        "src/raft/options.rs",
        "src/raft/peers/tls.rs",
        "src/raft/peers/transport.rs",
        "src/raft/room.rs",
        "src/raft/simulated.rs",
        "src/raft/slow_disk.rs",
    ],
    &["src/raft/members.rs", "src/raft/node.rs"],
    &["src/server/tls/dev_pair.rs", "src/server/tls/mod.rs", "src/server/tls/pair.rs", "src/server/tls/watch.rs"],
    &["src/status/docs/endpoint.rs", "src/status/docs/mod.rs", "src/status/docs/schema.rs"],
];

#[test]
fn no_file_imports_in_a_circle() {
    let graph = graph(&read_all(&["src"]));
    assert!(graph.values().flatten().count() > 500, "too few imports were found");
    let circles = circles(&graph);
    let is_within = |circle: &BTreeSet<&str>, known: &[&str]| circle.iter().all(|file| known.contains(file));
    let new: Vec<String> = circles
        .iter()
        .filter(|circle| !KNOWN.iter().any(|known| is_within(circle, known)))
        .map(|circle| described(&graph, circle))
        .collect();
    assert!(new.is_empty(), "{} circles:\n{}", new.len(), new.join("\n"));
    for known in KNOWN {
        let is_there = circles.iter().any(|circle| is_within(circle, known));
        assert!(is_there, "take this circle off the list, it is gone: {known:?}");
    }
}

/// The groups of files in which each reaches every other.
fn circles(graph: &Graph) -> Vec<BTreeSet<&str>> {
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for file in graph.keys() {
        if circles.iter().any(|circle| circle.contains(file.as_str())) {
            continue;
        }
        let reached = reached(graph, file);
        let circle: BTreeSet<&str> =
            reached.iter().copied().filter(|other| self::reached(graph, other).contains(file.as_str())).collect();
        if !circle.is_empty() {
            circles.push(circle);
        }
    }
    circles
}

/// The files that imports lead to from `file`; itself only in a circle.
fn reached<'a>(graph: &'a Graph, file: &str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = graph.get(file).into_iter().flatten().map(String::as_str).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(graph.get(file).into_iter().flatten().map(String::as_str));
        }
    }
    reached
}

fn described(graph: &Graph, circle: &BTreeSet<&str>) -> String {
    let imports = |file: &str| -> Vec<&str> {
        graph[file].iter().map(String::as_str).filter(|other| circle.contains(other)).collect()
    };
    circle.iter().map(|file| format!("  {file} -> {}\n", imports(file).join(", "))).collect()
}

/// How many circles the files have.
fn planted(files: &[(&str, &str)]) -> usize {
    let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    circles(&graph(&sources)).len()
}

#[test]
fn circles_are_seen_through_every_form_of_import() {
    let back = ("src/a/y.rs", "use super::x::X; pub struct Y;");
    let forms = [
        "use crate::a::y::Y; pub struct X;",
        "use super::y::{Other, Y as Renamed}; pub struct X;",
        "use super::{w::W, y::{self, Y}}; pub struct X;",
        "pub struct X; fn f() { super::y::g() }",
        "use super::y; pub struct X; fn f() { y::g() }",
        "use super::Y; pub struct X;",
        "use crate::a::Kept; pub struct X;",
        "use super::*; pub struct X; fn f(y: Y) {}",
        "pub struct X(crate::a::Y);",
        "use crate::a::z::Y; pub struct X;",
    ];
    for form in forms {
        let faces = [
            ("src/a/mod.rs", "mod w; mod x; mod y; pub mod z; pub use y::{Y, Y as Kept};"),
            ("src/a/z.rs", "pub use super::y::*;"),
            ("src/a/w.rs", "pub struct W;"),
        ];
        let mut files = vec![("src/a/x.rs", form), back];
        files.extend(faces);
        assert_eq!(planted(&files), 1, "{form}");
    }
}

#[test]
fn child_that_imports_its_user_closes_circle() {
    let child = ("src/a/x.rs", "use super::Parent; pub fn run() {}");
    assert_eq!(planted(&[("src/a/mod.rs", "mod x; pub struct Parent; fn f() { x::run() }"), child]), 1);
    assert_eq!(planted(&[("src/a/mod.rs", "mod x; use x::run; pub struct Parent;"), child]), 1);
    assert_eq!(planted(&[("src/a/mod.rs", "mod x; pub use x::run; pub struct Parent; fn f() { run() }"), child]), 1);
}

#[test]
fn three_files_in_a_ring_are_one_circle() {
    let ring = [
        ("src/a.rs", "use crate::b::B; pub struct A;"),
        ("src/b.rs", "use crate::c::C; pub struct B;"),
        ("src/c.rs", "use crate::a::A; pub struct C;"),
        ("src/d.rs", "use crate::a::A;"),
    ];
    assert_eq!(planted(&ring), 1);
    assert_eq!(planted(&ring[..2]), 0);
}

#[test]
fn what_is_no_import_closes_no_circle() {
    let child = ("src/a/x.rs", "use super::Parent; pub struct X;");
    let parents = [
        "mod x; pub struct Parent;",
        "mod x; pub use x::X; pub struct Parent;",
        "mod x; pub struct Parent; // x::X",
        "mod x; pub struct Parent; #[cfg(test)] mod tests { use super::x::X; }",
        "mod x; pub struct Parent; #[cfg(test)] mod tests;",
    ];
    for parent in parents {
        assert_eq!(planted(&[("src/a/mod.rs", parent), child]), 0, "{parent}");
    }
    let strangers = [("src/a/x.rs", "use axum::y::Y; pub struct X;"), ("src/a/y.rs", "use super::x::X; pub struct Y;")];
    assert_eq!(planted(&strangers), 0);
}
