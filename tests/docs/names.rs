//! Names in the documents: configuration keys with their defaults, metrics, and the words of the glossary.

use super::generated::exposition;
use super::markdown::{Page, root};

fn defaults() -> toml::Table {
    latchd::config::DEFAULTS.parse().expect("TOML")
}

/// The default of a key such as `storage.fsync`, as a person would write it; `None` if the word is no key at all.
fn default_of(word: &str) -> Option<Result<String, String>> {
    let defaults = defaults();
    let (section, key) = word.split_once('.')?;
    let section = defaults.get(section)?.as_table()?;
    if key == "rs" {
        return None;
    }
    let name = key.split([' ', '=']).next().unwrap_or_default();
    let value = section.get(name).ok_or_else(|| format!("`{word}` is no key of config.toml"));
    Some(value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
}

#[test]
fn every_key_that_a_document_names_is_in_the_configuration() {
    let mut found = 0;
    for page in Page::all() {
        for word in page.quoted() {
            match default_of(&word) {
                Some(Err(complaint)) => panic!("{}: {complaint}", page.path),
                Some(Ok(_)) => found += 1,
                None => {}
            }
        }
    }
    assert!(found > 60, "only {found} keys were found");
}

/// The file of a connection (`~/.config/latchd.toml`) has a `url`, the file of API keys has `[[keys]]`; every other example is
/// a server's configuration.
#[test]
fn every_example_of_a_configuration_has_known_keys() {
    let defaults = defaults();
    let mut found = 0;
    for page in Page::all() {
        for block in page.blocks().iter().filter(|block| block.language() == "toml") {
            let place = format!("{}:{}", page.path, block.line);
            let example: toml::Table = block.text.parse().unwrap_or_else(|error| panic!("{place}: {error}"));
            if example.contains_key("keys") {
                let read = latchd::config::keys_file::KeysFile::parse(block.text.as_bytes());
                read.unwrap_or_else(|error| panic!("{place}: {error}"));
                found += 1;
                continue;
            }
            for (name, value) in example.iter().filter(|_| !example.contains_key("url")) {
                let known = defaults.get(name).unwrap_or_else(|| panic!("{place}: `{name}` is no key of config.toml"));
                let (Some(section), Some(keys)) = (known.as_table(), value.as_table()) else { continue };
                let unknown = keys.keys().find(|key| !section.contains_key(*key));
                assert!(unknown.is_none(), "{place}: `{name}` has no key {unknown:?}");
            }
            found += 1;
        }
    }
    assert!(found > 2, "only {found} were found");
}

/// A value in parentheses behind a key is its default: `sessions.idle_timeout` (10m).
#[test]
fn every_default_that_a_document_gives_is_the_one_of_the_configuration() {
    let mut found = 0;
    for page in Page::all() {
        let prose = page.prose();
        let parts: Vec<&str> = prose.split('`').collect();
        for (index, word) in parts.iter().enumerate().skip(1).step_by(2) {
            let (Some(Ok(default)), Some(after)) = (default_of(word), parts.get(index + 1)) else { continue };
            let Some(given) = after.strip_prefix(" (").and_then(|text| text.split([')', ',', ' ']).next()) else {
                continue;
            };
            if given.starts_with(|c: char| c.is_ascii_digit()) {
                assert_eq!(given, default, "{}: `{word}`", page.path);
                found += 1;
            }
        }
    }
    assert!(found > 2, "only {found} defaults were found");
}

#[test]
fn every_metric_that_a_document_names_is_shown() {
    let shown = exposition();
    let words: Vec<String> = Page::all().iter().flat_map(Page::quoted).collect();
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let metrics = words.iter().flat_map(|word| word.split(ends)).filter(|word| word.starts_with("latchd_"));
    let mut found = 0;
    for metric in metrics.filter(|metric| !metric.ends_with('_')) {
        let registered = metric.trim_end_matches("_total");
        assert!(shown.contains(&format!("# HELP {registered} ")), "{metric} is not shown");
        found += 1;
    }
    assert!(found > 20, "only {found} metrics were found");
}

/// A word that this project once had for something, and the field's word.
const WORDS: [(&str, &str); 8] = [
    ("canvass", "pre-vote"),
    ("hand-over", "leadership transfer"),
    ("take-over", "leadership transfer"),
    ("stands for election", "starts an election"),
    ("gives back", "releases"),
    ("given back", "released"),
    ("give it back", "release it"),
    ("get_lock style", "DoubleDutch"),
];

/// The prose of a page without the tables that the code makes.
fn own_prose(page: &Page) -> String {
    let prose = page.prose();
    let parts = prose
        .split("<!-- table:")
        .map(|part| part.split_once("<!-- end of table -->").map_or(part, |(_, after)| after));
    parts.collect::<String>().to_lowercase()
}

#[test]
fn documents_use_the_words_of_the_glossary() {
    for page in Page::all() {
        let prose = own_prose(&page);
        for (old, new) in WORDS {
            assert!(!prose.contains(old), "{}: write \"{new}\" instead of \"{old}\"", page.path);
        }
    }
}

#[test]
fn every_room_of_the_source_is_in_the_architecture() {
    let architecture = Page::read("ARCHITECTURE.md").text;
    let rows: Vec<&str> = architecture.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next()).collect();
    for entry in std::fs::read_dir(root().join("src")).expect("the source") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let room = name.trim_end_matches(".rs");
        let is_room = !["lib", "main"].contains(&room);
        assert!(!is_room || rows.iter().any(|row| row.contains(&format!("`{room}`"))), "{room} has no row");
    }
}

/// Two screens and a tour: whatever is longer belongs into a guide.
#[test]
fn readme_stays_short() {
    let lines = Page::read("README.md").text.lines().count();
    assert!(lines <= 200, "README.md has {lines} lines");
}
