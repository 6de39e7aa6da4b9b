//! `latchd completions`: scripts that their shells can read.

use crate::support::process::run_to_end;
use std::io::Write;
use std::process::Command;

fn script(shell: &str) -> String {
    let printed = run_to_end(&["completions", shell]);
    assert!(printed.status.success(), "{}", printed.stderr);
    printed.stdout
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(script("bash").as_bytes()).expect("written");
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let last = words.len() - 1;
    let complete = format!(
        "source {}; COMP_WORDS=({}); COMP_CWORD={last}; _latchd latchd '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        file.path().display(),
        quoted.join(" "),
        words[last],
        words[last - 1],
    );
    let output = Command::new("bash").args(["--norc", "-c", &complete]).output().expect("bash is there");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_subcommands_flags_and_values() {
    assert_eq!(offered(&["latchd", "lo"]), ["lock", "locks"]);
    assert_eq!(offered(&["latchd", "unlock", "a", "--fo"]), ["--force"]);
    assert_eq!(offered(&["latchd", "completions", ""]).iter().filter(|word| !word.starts_with('-')).count(), 3);
    let of_another_command = offered(&["latchd", "lock", "x", "--", "ls", "--h"]);
    assert!(of_another_command.iter().all(String::is_empty), "{of_another_command:?}");
    let subcommands = offered(&["latchd", ""]);
    assert!(!subcommands.iter().any(|word| word.contains("child")), "{subcommands:?}");
}

#[test]
fn zsh_and_fish_scripts_have_subcommands_and_flags() {
    assert!(script("zsh").starts_with("#compdef latchd\n"));
    let fish = script("fish");
    assert!(fish.contains("complete -c latchd") && fish.contains("unlock"), "{fish}");
    assert!(!fish.contains("exec-child"));
    let unknown = run_to_end(&["completions", "tcsh"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.contains("possible values: bash, zsh, fish"), "{}", unknown.stderr);
}
