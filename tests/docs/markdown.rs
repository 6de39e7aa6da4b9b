//! As much of Markdown as the documents use: fenced blocks, headings, links, code spans and comments.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub fn root() -> &'static Path {
    Path::new(ROOT)
}

/// A Markdown file, named by its path from the top of the repository.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// A fenced block, without its indentation.
pub struct Block {
    /// What stands behind the backticks: `sh`, or `sh three` for a block that a test asks for by name.
    pub info: String,
    pub text: String,
    pub line: usize,
}

impl Block {
    pub fn language(&self) -> &str {
        self.info.split(' ').next().unwrap_or_default()
    }
}

impl Page {
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    /// Every Markdown file of the repository.
    pub fn all() -> Vec<Self> {
        let mut paths = files(&["."]);
        paths.retain(|path| path.ends_with(".md"));
        assert!(paths.len() > 20, "only {} pages were found", paths.len());
        paths.iter().map(|path| Self::read(path)).collect()
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let Some(info) = line.trim_start().strip_prefix("```") else { continue };
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            let text = inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default())).collect();
            blocks.push(Block { info: info.to_owned(), text, line: number + 1 });
        }
        blocks
    }

    /// The lines outside of fenced blocks.
    pub fn prose(&self) -> String {
        let mut fenced = false;
        let is_prose = |line: &&str| {
            let is_fence = line.trim_start().starts_with("```");
            fenced ^= is_fence;
            !fenced && !is_fence
        };
        self.text.lines().filter(is_prose).fold(String::new(), |text, line| text + line + "\n")
    }

    /// What stands between backticks in the prose.
    pub fn quoted(&self) -> Vec<String> {
        self.prose().split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    /// The targets of `[text](target)`.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let outside_code: String = prose.split('`').step_by(2).collect();
        let targets = outside_code.split("](").skip(1).filter_map(|after| after.split(')').next());
        targets.map(str::to_owned).collect()
    }

    /// The anchors that GitHub and mdBook give to the headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for line in self.prose().lines().filter(|line| line.starts_with('#')) {
            let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            let slug: String = heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect();
            let again = anchors.iter().filter(|anchor| **anchor == slug).count();
            anchors.push(if again == 0 { slug } else { format!("{slug}-{again}") });
        }
        anchors
    }
}

/// The block of a document that has this name, such as `sh tour`.
pub fn block(document: &str, info: &str) -> String {
    let found = Page::read(document).blocks().into_iter().find(|block| block.info == info);
    found.unwrap_or_else(|| panic!("{document} has no block `{info}`")).text
}

/// The files below these folders, in order, without what a build or a tool leaves.
pub fn files(folders: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(&root().join(folder), &mut paths);
    }
    let name = |path: PathBuf| path.strip_prefix(root()).expect("below the root").display().to_string();
    let mut names: Vec<String> =
        paths.into_iter().map(name).map(|path| path.trim_start_matches("./").to_owned()).collect();
    names.sort();
    names
}

fn collect(place: &Path, into: &mut Vec<PathBuf>) {
    const LEFT_OUT: [&str; 5] = ["target", ".git", "node_modules", "__pycache__", ".pytest_cache"];
    if place.is_file() {
        into.push(place.to_owned());
        return;
    }
    let entries = std::fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if !LEFT_OUT.iter().any(|name| path.ends_with(name)) {
            collect(&path, into);
        }
    }
}
