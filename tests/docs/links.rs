//! Links, anchors and paths: whatever a document or the source points to is there.

use super::markdown::{Page, files, root};
use std::path::{Component, Path, PathBuf};

/// `a/b/../c` is `a/c`.
fn clean(path: &Path) -> String {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(parts.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts.display().to_string()
}

fn complaint(pages: &[Page], page: &Page, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(&page.path).parent().expect("a file has a folder");
    let target = if path.is_empty() { page.path.clone() } else { clean(&folder.join(path)) };
    if !root().join(&target).exists() {
        return Some(format!("{}: there is no {target}", page.path));
    }
    let page_there = pages.iter().find(|other| other.path == target);
    let anchors = page_there.map(Page::anchors).unwrap_or_default();
    let found = anchor.is_empty() || anchors.iter().any(|known| known == anchor);
    (!found).then(|| format!("{}: {target} has no heading #{anchor}", page.path))
}

#[test]
fn every_relative_link_and_anchor_leads_to_a_file_and_a_heading() {
    let pages = Page::all();
    let links = pages.iter().flat_map(|page| page.links().into_iter().map(move |link| (page, link)));
    let links: Vec<_> = links.collect();
    assert!(links.len() > 50, "only {} links were found", links.len());
    let complaints: Vec<_> = links.iter().filter_map(|(page, link)| complaint(&pages, page, link)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn broken_links_and_anchors_are_found() {
    let page = Page { path: "docs/disks.md".to_owned(), text: "# A, b `c`!\n## A, b `c`!\n[x](b.md)\n".to_owned() };
    assert_eq!(page.anchors(), ["a-b-c", "a-b-c-1"]);
    let pages = [page];
    for (link, is_good) in [("#a-b-c", true), ("#other", false), ("b.md", false), ("../README.md", true)] {
        assert_eq!(complaint(&pages, &pages[0], link).is_none(), is_good, "{link}");
    }
}

#[test]
fn summary_names_every_page_once() {
    let summary = Page::read("docs/SUMMARY.md");
    let mut named: Vec<String> = summary.links().iter().map(|link| format!("docs/{link}")).collect();
    named.sort();
    let pages = Page::all().into_iter().map(|page| page.path);
    let there: Vec<String> = pages.filter(|path| path.starts_with("docs/") && *path != summary.path).collect();
    assert_eq!(named, there);
}

/// The paths of documents that a text names: `docs/disks.md`, wherever it stands.
fn documents(text: &str) -> Vec<String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/_-.".contains(c);
    let mut found = Vec::new();
    for (start, _) in text.match_indices("docs/") {
        let path: String = text[start..].chars().take_while(|c| is_path(*c)).collect();
        found.extend(path.find(".md").map(|end| path[..end + 3].to_owned()));
    }
    found
}

#[test]
fn every_document_that_the_source_or_a_deployment_names_is_there() {
    let places = ["src", "tests", "benches", "deploy", "clients", "Makefile", "Dockerfile", "config.toml", ".ci"];
    let mut found = 0;
    for file in files(&places).iter().filter(|file| *file != "tests/docs/links.rs") {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else { continue };
        for document in documents(&text) {
            assert!(root().join(&document).is_file(), "{file} names {document}, which is not there");
            found += 1;
        }
    }
    assert!(found > 5, "only {found} were found");
}

/// `src/domain/`, `tests/tidy/mod.rs`, `deploy/nginx.conf`: paths from the top of the repository or from the page.
#[test]
fn every_file_of_the_repository_that_a_document_names_is_there() {
    const ENDS: [&str; 9] = [".rs", ".md", ".proto", ".py", ".toml", ".yaml", ".yml", ".cfg", "/"];
    const TOPS: [&str; 9] = ["src/", "tests/", "docs/", "deploy/", "benches/", "clients/", "fuzz/", "openapi/", ".ci/"];
    const MADE_BY_TOOLS: [&str; 1] = ["fuzz/artifacts/"];
    let mut found = 0;
    for page in Page::all() {
        for word in page.quoted() {
            let is_whole = page.path == "ARCHITECTURE.md" || ENDS.iter().any(|end| word.ends_with(end));
            let is_path = TOPS.iter().any(|top| word.starts_with(top)) && is_whole;
            if is_path && !word.contains(['*', '{', ' ', '<']) && !MADE_BY_TOOLS.contains(&word.as_str()) {
                assert!(root().join(&word).exists(), "{}: there is no `{word}`", page.path);
                found += 1;
            }
        }
    }
    assert!(found > 5, "only {found} were found");
}
