//! The rules of `tidy/mod.rs`, each a function from one source file to its complaints.

use std::path::Path;

use super::lexer::{code_of, is_word};
use super::{ALONE, LINES_PER_FILE, LINES_PER_FUNCTION, NOT_IN_DOMAIN, NOTES, OPEN, RESERVED, ROOMS, STOPWATCH_MS_MIN};

/// One file: its path from the top of the repository, its text, and its text without comments and literals.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), code: code_of(text) }
    }

    pub fn read(root: &Path, file: &Path) -> Self {
        let path = file.strip_prefix(root).expect("the file lies below the root").display().to_string();
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::new(&path, &text)
    }

    /// The room of a file under `src/`: `src/engine/events/ring.rs` is in `engine`.
    fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let (room, _) = inside.split_once('/').unwrap_or((inside.strip_suffix(".rs")?, ""));
        (room != "lib").then_some(room)
    }

    /// How many `super` lead from this file's module to the top of the crate.
    fn depth(&self) -> usize {
        let parts: Vec<&str> = self.path.trim_start_matches("src/").split('/').collect();
        parts.len() - usize::from(parts.last() == Some(&"mod.rs"))
    }

    fn complain(&self, offset: usize, what: &str) -> String {
        let line = self.code[..offset].matches('\n').count() + 1;
        format!("{}:{line}: {what}", self.path)
    }
}

/// Every complaint about one file.
pub fn all(source: &Source) -> Vec<String> {
    [imports, reserved, purity, notes, sizes, heading, stopwatches].iter().flat_map(|check| check(source)).collect()
}

/// Imports that the table of rooms does not allow.
pub fn imports(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else {
        return Vec::new();
    };
    let allowed: &[&str] = match ROOMS.iter().find(|(name, _)| *name == room) {
        Some((_, allowed)) => allowed,
        None if room == "main" => &["cli"],
        None => return vec![format!("{}: the room {room} is in no table", source.path)],
    };
    let mut complaints = Vec::new();
    for (offset, name) in crate_paths(source) {
        let is_room = ROOMS.iter().any(|(known, _)| *known == name);
        let allowed = allowed.contains(&name.as_str()) || OPEN.contains(&name.as_str());
        if is_room && name != room && !allowed {
            complaints.push(source.complain(offset, &format!("{room} may not import {name}")));
        }
    }
    complaints
}

/// Every first segment below the top of the crate that a file names, with where it does.
fn crate_paths(source: &Source) -> Vec<(usize, String)> {
    let to_the_top = "super::".repeat(source.depth());
    let mut found = Vec::new();
    for lead in ["crate::", "latchd::", to_the_top.as_str()] {
        for (offset, _) in source.code.match_indices(lead) {
            let before = &source.code[..offset];
            let within_longer = before.chars().next_back().is_some_and(|c| is_word(c) || c == ':');
            if lead.is_empty() || within_longer {
                continue;
            }
            let after = &source.code[offset + lead.len()..];
            found.extend(first_segments(after).into_iter().map(|name| (offset, name)));
        }
    }
    found
}

/// The first segments of a path or of a braced group: `{a::b, c}` gives `a` and `c`.
fn first_segments(after: &str) -> Vec<String> {
    let Some(group) = after.trim_start().strip_prefix('{') else {
        return vec![after.chars().take_while(|c| is_word(*c)).collect()];
    };
    let mut names = vec![String::new()];
    let mut depth = 0;
    let mut in_first = true;
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(String::new());
                in_first = true;
            }
            ':' => in_first = false,
            word if depth == 0 && in_first && is_word(word) => names.last_mut().expect("never empty").push(word),
            _ => {}
        }
    }
    names
}

/// Words outside the places that they are reserved for.
pub fn reserved(source: &Source) -> Vec<String> {
    if !source.path.starts_with("src/") {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for rule in RESERVED {
        if rule.only_in.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for offset in words(&source.code, rule.word) {
            complaints.push(source.complain(offset, &format!("{} does not belong here: {}", rule.word, rule.why)));
        }
    }
    complaints
}

/// Words that the pure room may not say.
pub fn purity(source: &Source) -> Vec<String> {
    if source.room() != Some("domain") {
        return Vec::new();
    }
    let found = NOT_IN_DOMAIN.iter().flat_map(|word| words(&source.code, word).into_iter().map(move |at| (at, word)));
    found.map(|(offset, word)| source.complain(offset, &format!("the domain is pure: no {word}"))).collect()
}

/// Assertions that something took less than a time in which a busy machine may do nothing at all.
pub fn stopwatches(source: &Source) -> Vec<String> {
    if !source.path.starts_with("tests/") || ALONE.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (offset, _) in source.code.match_indices("assert!(") {
        let condition: &str = source.code[offset..].split([';', ',']).next().unwrap_or_default();
        let Some((spent, bound)) = condition.split_once(" < ").or_else(|| condition.split_once(" <= ")) else {
            continue;
        };
        let is_spent = spent.ends_with("elapsed()") || spent.ends_with("took");
        if is_spent && literal_ms(bound).is_some_and(|bound_ms| bound_ms < STOPWATCH_MS_MIN) {
            complaints.push(source.complain(offset, "a busy machine takes longer: await an event, or in_time.rs"));
        }
    }
    complaints
}

/// The first `Duration` that is written out, in milliseconds.
fn literal_ms(text: &str) -> Option<u64> {
    if text.contains('+') {
        return None;
    }
    let number = |unit: &str| {
        let after = text.split_once(unit)?.1;
        after.split(')').next()?.replace('_', "").parse::<u64>().ok()
    };
    number("from_millis(").or_else(|| number("from_secs(").map(|seconds| seconds * 1000))
}

/// Notes to oneself, also in comments and literals.
pub fn notes(source: &Source) -> Vec<String> {
    let found = NOTES.iter().flat_map(|note| words(&source.text, note).into_iter().map(move |at| (at, note)));
    found
        .map(|(offset, note)| {
            let line = source.text[..offset].matches('\n').count() + 1;
            format!("{}:{line}: {note} is a note to oneself", source.path)
        })
        .collect()
}

/// Files and functions that are too long to be read in one go.
pub fn sizes(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let mut complaints = Vec::new();
    if lines > LINES_PER_FILE {
        complaints.push(format!("{}: {lines} lines, at most {LINES_PER_FILE}", source.path));
    }
    for offset in words(&source.code, "fn") {
        let length = function_lines(&source.code[offset..]);
        if length > LINES_PER_FUNCTION {
            complaints
                .push(source.complain(offset, &format!("a function of {length} lines, at most {LINES_PER_FUNCTION}")));
        }
    }
    complaints
}

/// How many lines the function takes whose `fn` starts the code; 1 when it has no body.
fn function_lines(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            // A function pointer or a method without a body ends before any brace opens.
            ';' | ',' | '=' if depth == 0 && !code[..at].contains('(') => return 1,
            ';' if depth == 0 => return 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return code[..at].matches('\n').count() + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    1
}

/// Modules that do not say what lives in them.
pub fn heading(source: &Source) -> Vec<String> {
    let starts_well = source.text.starts_with("//!");
    if starts_well { Vec::new() } else { vec![format!("{}:1: no //! heading", source.path)] }
}

/// Where a word stands in a text, not as a part of a longer word.
fn words(text: &str, word: &str) -> Vec<usize> {
    let whole = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !(before.is_some_and(is_word) || word.ends_with(is_word) && after.is_some_and(is_word))
    };
    text.match_indices(word).map(|(at, _)| at).filter(|at| whole(*at)).collect()
}
