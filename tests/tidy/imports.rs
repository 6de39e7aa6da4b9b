//! Which file of `src/` names something that another file defines.
//!
//! Re-exports are followed to the file that defines the name. Neither a `mod` item nor a re-export is an import.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::Source;
use super::lexer::is_word;

/// For each file the files that it imports from.
pub type Graph = BTreeMap<String, BTreeSet<String>>;

/// The path of a module from the top of the crate.
type Path = Vec<String>;

/// One file as a module.
struct Module {
    file: String,
    path: Path,
    /// What the file defines at its top level.
    defined: BTreeSet<String>,
    uses: Vec<Use>,
    /// The code without its tests and its `use` items.
    body: String,
}

/// One leaf of a `use` item. The name is `*` for all that a module has.
struct Use {
    name: String,
    path: Path,
    is_public: bool,
}

/// How many re-exports are followed in a row.
const HOPS_MAX: usize = 8;

const ITEMS: &[&str] = &["struct", "enum", "union", "trait", "type", "const", "static", "fn", "mod", "macro_rules!"];

/// The imports between the files of `src/`, without tests.
pub fn graph(sources: &[Source]) -> Graph {
    let modules: BTreeMap<Path, Module> =
        sources.iter().filter_map(Module::read).map(|module| (module.path.clone(), module)).collect();
    let crate_files = Crate { modules: &modules };
    modules.values().map(|module| (module.file.clone(), crate_files.imports(module))).collect()
}

impl Module {
    fn read(source: &Source) -> Option<Self> {
        let inside = source.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut path: Path = inside.split('/').map(str::to_owned).collect();
        if path.iter().any(|part| part == "tests") || path == ["main"] || path == ["lib"] {
            return None;
        }
        if path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        let (uses, body) = split_uses(&without_tests(&source.code));
        Some(Self { file: source.path.clone(), path, defined: defined(&body), uses, body })
    }
}

struct Crate<'a> {
    modules: &'a BTreeMap<Path, Module>,
}

impl<'a> Crate<'a> {
    fn imports(&self, module: &Module) -> BTreeSet<String> {
        let named = paths(&module.body);
        let is_used = |used: &&Use| !used.is_public || named.iter().any(|path| path[0] == used.name);
        let by_use = module.uses.iter().filter(is_used).map(|used| &used.path);
        // A name alone is bound by an explicit `use`, unless all names of a module are.
        let has_glob = module.uses.iter().any(|used| used.name == "*");
        let found = by_use.chain(named.iter().filter(|path| path.len() > 1 || has_glob));
        let mut files: BTreeSet<String> =
            found.filter_map(|path| self.file_of(module, path, HOPS_MAX)).map(str::to_owned).collect();
        files.remove(&module.file);
        files
    }

    /// The file that defines what `path` names in `module`; none for other crates and for a module as a whole.
    fn file_of(&self, module: &Module, path: &[String], hops: usize) -> Option<&'a str> {
        let (first, rest) = path.split_first()?;
        let mut place = module.path.clone();
        match first.as_str() {
            "crate" => place.clear(),
            "self" => {}
            "super" => {
                let levels = path.iter().take_while(|part| *part == "super").count();
                place.truncate(module.path.len().checked_sub(levels)?);
                return self.found(place, &path[levels..], hops);
            }
            _ => return self.named(module, path, hops),
        }
        self.found(place, rest, hops)
    }

    /// Follows `rest` down from the module at `place`.
    fn found(&self, mut place: Path, rest: &[String], hops: usize) -> Option<&'a str> {
        for (at, part) in rest.iter().enumerate() {
            place.push(part.clone());
            if !self.modules.contains_key(&place) {
                place.pop();
                let module = self.modules.get(&place)?;
                return self.named(module, &rest[at..], hops).or(Some(module.file.as_str()));
            }
        }
        None
    }

    /// What a path names whose first part is a name of `module` itself.
    fn named(&self, module: &Module, path: &[String], hops: usize) -> Option<&'a str> {
        let name = &path[0];
        let mut child = module.path.clone();
        child.push(name.clone());
        if self.modules.contains_key(&child) {
            return self.found(child, &path[1..], hops);
        }
        if module.defined.contains(name) {
            return self.modules.get(&module.path).map(|module| module.file.as_str());
        }
        let hops = hops.checked_sub(1)?;
        let explicit = module.uses.iter().find(|used| used.name == *name);
        let globs = module.uses.iter().filter(|used| used.name == "*");
        let candidates = explicit.into_iter().chain(globs);
        candidates.into_iter().find_map(|used| {
            let whole: Path = used.path.iter().chain(&path[usize::from(used.name != "*")..]).cloned().collect();
            // A re-export of another crate's name looks like a child of this module, and is none.
            let is_itself = used.path.first() == Some(name) && used.name != "*";
            if is_itself { None } else { self.file_of(module, &whole, hops) }
        })
    }
}

/// The code without the modules that are compiled for tests only.
fn without_tests(code: &str) -> String {
    let mut rest = code;
    let mut kept = String::new();
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        rest = &rest[at + "#[cfg(test)]".len()..];
        let end = rest.find(['{', ';']).unwrap_or(rest.len());
        rest = if rest[end..].starts_with('{') { &rest[end + block(&rest[end..])..] } else { &rest[end..] };
    }
    kept + rest
}

/// The length of the braced block that the code starts with.
fn block(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in code.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The `use` items of the code, and the code without them.
fn split_uses(code: &str) -> (Vec<Use>, String) {
    let mut uses = Vec::new();
    let mut body = String::new();
    for statement in code.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|at| !statement[..*at].ends_with(is_word));
        let Some(at) = start.filter(|at| statement[*at..].ends_with(';')) else {
            body.push_str(statement);
            continue;
        };
        // What stands before it on its line is its visibility.
        let line = statement[..at].rfind(['\n', '{', '}', ']']).map_or(0, |end| end + 1);
        let is_public = statement[line..at].contains("pub");
        body.push_str(&statement[..line]);
        leaves(statement[at + "use ".len()..].trim_end_matches(';'), &[], is_public, &mut uses);
    }
    (uses, body)
}

/// Takes the tree of a `use` item apart.
fn leaves(tree: &str, above: &[String], is_public: bool, into: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((lead, group)) = tree.split_once('{') {
        let above: Path = above.iter().cloned().chain(parts(lead)).collect();
        for branch in branches(group.trim_end().trim_end_matches('}')) {
            leaves(branch, &above, is_public, into);
        }
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
    let mut path: Path = above.iter().cloned().chain(parts(path)).collect();
    let is_glob = tree.ends_with('*');
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let Some(last) = path.last() else { return };
    let name = if is_glob { "*" } else { alias.unwrap_or(last) }.to_owned();
    into.push(Use { name, path, is_public });
}

fn parts(path: &str) -> Path {
    let path = path.trim().trim_start_matches("r#");
    path.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "*").map(str::to_owned).collect()
}

/// The branches of a braced group, which may hold groups.
fn branches(group: &str) -> Vec<&str> {
    let mut depth = 0;
    group
        .split(|character| {
            depth += i32::from(character == '{') - i32::from(character == '}');
            character == ',' && depth == 0
        })
        .filter(|branch| !branch.trim().is_empty())
        .collect()
}

/// The names that the code defines at its top level.
fn defined(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let (mut depth, mut previous) = (0, "");
    for word in code.split_inclusive(|character: char| !is_word(character) && character != '!') {
        let name = word.trim_end_matches(|character: char| !is_word(character) && character != '!');
        if depth == 0 && ITEMS.contains(&previous) && !name.is_empty() {
            names.insert(name.to_owned());
        }
        depth += i32::from(word.ends_with('{')) - i32::from(word.ends_with('}'));
        previous = if name.is_empty() { previous } else { name };
    }
    names
}

/// Every path that the code names, also those of one part; fields and methods aside.
fn paths(code: &str) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    let mut before = "";
    for token in code.split_inclusive(|character| !is_word(character) && character != ':') {
        let name = token.trim_end_matches(|character| !is_word(character));
        let is_member = before.ends_with('.') && !before.ends_with("..");
        if name.starts_with(is_word) && !is_member {
            found.insert(parts(name));
        }
        before = if token == "." && before.ends_with('.') { ".." } else { token };
    }
    found
}
