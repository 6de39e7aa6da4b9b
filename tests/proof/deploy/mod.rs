//! The files of `deploy/`, the compose files and the image: what they start is started by flags and variables that exist,
//! and what belongs together agrees. Docker, Kubernetes and systemd themselves are not needed for that.

mod compose;
mod engine;
mod helm;
mod image;
mod kubernetes;
mod monitoring;
mod release;
mod unit;

use super::tools::{python, run};
use clap::Parser;
use latchd::cli::Cli;
use latchd::config::{Config, Inputs};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// As long as a leader looks for another one.
const HAND_OVER_WITHIN: Duration = Duration::from_secs(4);

const PARSE: &str = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    let text = run(python("python").args(["-c", PARSE]).arg(file(name)));
    serde_json::from_str(&text).expect("JSON")
}

/// Reads arguments as `latchd` would.
fn accepted(arguments: &[&str]) {
    let command = [&["latchd"], arguments].concat();
    Cli::try_parse_from(&command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
}

/// The configuration that these variables make, over what the image sets.
fn configured(variables: &BTreeMap<String, String>) -> Config {
    let mut env: BTreeMap<String, String> = image_variables();
    env.extend(variables.clone());
    let inputs = Inputs { env: env.into_iter().collect(), ..Inputs::default() };
    Config::load(inputs).unwrap_or_else(|error| panic!("{variables:?}: {error}"))
}

/// `ENV` of the Dockerfile.
fn image_variables() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file("Dockerfile")).expect("the Dockerfile");
    let words = text.split_whitespace().filter_map(|word| word.split_once('='));
    let variables = words.filter(|(name, _)| name.starts_with("LATCHD_"));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|item| item.as_str().expect("a text")).collect()
}

/// The hosts for which `latchd certs init` makes certificates in a command line.
fn certified(command: &str) -> BTreeMap<u64, String> {
    let words: Vec<&str> = command.split_whitespace().skip_while(|word| *word != "latchd").skip(1).collect();
    accepted(&words);
    let list = words.iter().skip_while(|word| **word != "--nodes").nth(1).expect("--nodes");
    let pairs = list.split(',').map(|pair| pair.split_once('=').expect("an id and a host"));
    pairs.map(|(id, host)| (id.parse().expect("an id"), host.to_owned())).collect()
}

/// What a process gets from SIGTERM to SIGKILL must be enough for all that it does meanwhile.
fn check_patience(config: &Config, patience: Duration) {
    let server = &config.server;
    assert_eq!(server.drain_delay, Duration::from_secs(5), "balancers see the end before anything is refused");
    let needed = server.drain_delay + HAND_OVER_WITHIN + server.drain_timeout;
    assert!(patience > needed, "{patience:?} for a drain of {needed:?}");
}

/// The commands in the first lines of a file, without the prompt of words around them.
fn head_of(name: &str) -> String {
    let text = std::fs::read_to_string(file(name)).expect("the file");
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#')).collect::<Vec<_>>().join("\n")
}

/// Every `latchd` command that the first lines of a file show is one, whatever runs it.
fn check_commands(name: &str, runners: &[&str]) {
    let text = head_of(name).replace("\\\n", " ");
    let mut found = 0;
    for line in text.lines() {
        let Some(at) = runners.iter().find_map(|runner| Some(line.find(runner)? + runner.len())) else { continue };
        let words = line[at..].split_whitespace().map(|word| word.replace("$n", "1"));
        let words: Vec<String> = words.take_while(|word| !["&&", "||", "#"].contains(&word.as_str())).collect();
        let words: Vec<&str> = words.iter().map(|word| word.trim_end_matches(';')).collect();
        accepted(&words.iter().copied().take_while(|word| !word.starts_with('(')).collect::<Vec<_>>());
        found += 1;
    }
    assert!(found > 0, "{name} shows no command");
}

fn check_node(config: &Config, id: u64, certified: &BTreeMap<u64, String>) {
    assert_eq!(config.cluster.node_id, id);
    assert!(config.cluster.listen().expect("it listens").ip().is_unspecified(), "reachable from other containers");
    assert_eq!(config.cluster.peers.len(), 3);
    let own = config.cluster.peers.iter().find(|peer| peer.node == id).expect("it is one of the three");
    assert_eq!(config.cluster.advertise(), Some(&own.url));
    assert_eq!(certified.get(&id), Some(&own.url.host), "its certificate is for the name that peers dial");
    assert!(!config.in_memory && config.tls.pair().is_some());
}
