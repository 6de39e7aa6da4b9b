//! No file of `src/` imports in a circle: of two files that import each other, neither can be read first.

use std::collections::BTreeSet;

use super::checks::Source;
use super::imports::{Graph, graph};
use super::read_all;

#[test]
fn no_file_imports_in_a_circle() {
    let graph = graph(&read_all(&["src"]));
    assert!(graph.values().flatten().count() > 500, "too few imports were found");
    let circles: Vec<String> = circles(&graph).iter().map(|circle| described(&graph, circle)).collect();
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), circles.join("\n"));
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
fn text_that_is_no_import_closes_no_circle() {
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
