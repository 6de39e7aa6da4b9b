//! The Dockerfile.

use super::{accepted, file};
use crate::proof::tools::{program, run};

fn instructions() -> Vec<String> {
    let text = std::fs::read_to_string(file("Dockerfile")).expect("the Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn of(instructions: &[String], name: &str) -> Vec<String> {
    instructions.iter().filter_map(|line| line.strip_prefix(&format!("{name} "))).map(str::to_owned).collect()
}

/// All that is copied, and nothing else: what cargo asks for and does not find fails here as it would in a build.
#[test]
fn cargo_finds_in_the_image_what_the_manifest_names() {
    let place = tempfile::tempdir().expect("a directory");
    let copied = of(&instructions(), "COPY").into_iter().filter(|line| !line.starts_with("--from"));
    for line in copied {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let target = place.path().join(words.pop().expect("a target"));
        for source in words {
            let from = file(source);
            let to = if from.is_dir() { target.clone() } else { target.join(from.file_name().expect("a name")) };
            std::fs::create_dir_all(to.parent().expect("a parent")).expect("made");
            run(program("cp").arg("-r").arg(&from).arg(&to));
        }
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = std::process::Command::new(cargo);
    run(metadata.args(["metadata", "--no-deps", "--offline", "--locked", "--format-version=1"]).current_dir(&place));
}

/// `.dockerignore` keeps everything away but what it names.
#[test]
fn dockerignore_excludes_no_copied_file() {
    let ignored = std::fs::read_to_string(file(".dockerignore")).expect("the file");
    let sent: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert_eq!(ignored.lines().next(), Some("*"));
    for line in of(&instructions(), "COPY").iter().filter(|line| !line.starts_with("--from")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for source in &words[..words.len() - 1] {
            assert!(sent.contains(source), "{source}");
        }
    }
}

#[test]
fn image_runs_as_numeric_user_with_existing_commands() {
    let text = std::fs::read_to_string(file("Dockerfile")).expect("the Dockerfile");
    assert!(!text.contains("# syntax"), "a registry would have to answer before anything is built");
    let instructions = instructions();
    assert_eq!(of(&instructions, "USER"), ["10001:10001"]);
    for line in [of(&instructions, "ENTRYPOINT"), of(&instructions, "CMD")].concat() {
        serde_json::from_str::<Vec<String>>(&line).expect("exec form, so that signals arrive");
    }
    let check = &of(&instructions, "HEALTHCHECK")[0];
    let check: Vec<String> = serde_json::from_str(check.split_once("CMD ").expect("a command").1).expect("exec form");
    accepted(&check.iter().map(String::as_str).collect::<Vec<_>>()[1..]);
    let labels = of(&instructions, "LABEL").concat();
    assert!(labels.contains(concat!("image.version=\"", env!("CARGO_PKG_VERSION"), "\"")), "{labels}");
    assert!(!text.contains("fn main"), "no dummy sources");
    assert!(text.contains("--mount=type=cache"));
}
