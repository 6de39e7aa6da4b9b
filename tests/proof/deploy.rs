//! The files of `deploy/` and the compose file: what they start is started by flags and variables that exist, and what
//! belongs together agrees. Docker, Kubernetes and systemd themselves are not needed for that.

use super::tools::{python, run};
use clap::Parser;
use latchd::cli::Cli;
use latchd::config::{Config, Inputs};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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

/// The variables of a compose service, with the shell's own ones filled in.
fn compose_variables(service: &Value) -> BTreeMap<String, String> {
    let filled = |value: String| if value.starts_with("${LATCHD_API_KEY") { "k".to_owned() } else { value };
    let variables = service["environment"].as_object().expect("variables");
    variables.iter().map(|(name, value)| (name.clone(), filled(text(value)))).collect()
}

/// The hosts for which `latchd certs init` makes certificates in a command line.
fn certified(command: &str) -> BTreeMap<u64, String> {
    let words: Vec<&str> = command.split_whitespace().skip_while(|word| *word != "latchd").skip(1).collect();
    accepted(&words);
    let list = words.iter().skip_while(|word| **word != "--nodes").nth(1).expect("--nodes");
    let pairs = list.split(',').map(|pair| pair.split_once('=').expect("an id and a host"));
    pairs.map(|(id, host)| (id.parse().expect("an id"), host.to_owned())).collect()
}

fn check_node(config: &Config, id: u64, certified: &BTreeMap<u64, String>) {
    assert_eq!(config.cluster.node_id, id);
    assert!(config.cluster.listen().expect("it listens").ip().is_unspecified(), "reachable from other containers");
    assert_eq!(config.cluster.peers.len(), 3);
    let own = config.cluster.peers.iter().find(|peer| peer.node == id).expect("it is one of the three");
    assert_eq!(config.cluster.advertise(), Some(&own.url));
    assert_eq!(certified.get(&id), Some(&own.url.host), "its certificate is for the name that peers dial");
    let [_, cert, key] = config.cluster.tls().expect("certificates");
    assert!(cert.ends_with(format!("node{id}.pem")) && key.ends_with(format!("node{id}.key")), "{cert:?} {key:?}");
    assert!(!config.in_memory && config.tls.pair().is_some());
}

fn compose() -> Value {
    let [compose] = yaml("docker-compose.yml").try_into().expect("one document");
    compose
}

#[test]
fn one_node_of_compose_is_configured_by_variables_that_exist() {
    let compose = compose();
    let config = configured(&compose_variables(&compose["services"]["latchd"]));
    assert_eq!(config.cluster.listen(), None);
    assert!(config.has_credentials());
}

/// `docker compose up` starts the one node and nothing else; what is named brings what it needs.
#[test]
fn the_cluster_of_compose_starts_only_when_it_is_named() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let started: Vec<&String> =
        services.iter().filter(|(_, service)| service["profiles"].is_null()).map(|(name, _)| name).collect();
    assert_eq!(started, ["latchd"]);
    for (name, service) in services.iter().filter(|(name, _)| *name != "latchd") {
        assert_eq!(strings(&service["profiles"]), ["cluster"], "{name}");
        for needed in service["depends_on"].as_object().into_iter().flat_map(|needed| needed.keys()) {
            assert_eq!(services[needed]["profiles"], service["profiles"], "{name} needs {needed}");
        }
    }
    let declared = |kind: &str| compose[kind].as_object().expect("declared").keys().cloned().collect::<Vec<_>>();
    let volumes = services.values().flat_map(|service| strings(&service["volumes"]));
    for volume in volumes.filter_map(|volume| volume.split(':').next()) {
        assert!(declared("volumes").iter().any(|name| name == volume), "{volume}");
    }
}

#[test]
fn three_nodes_of_compose_form_one_cluster() {
    let compose = compose();
    let services = compose["services"].as_object().expect("services");
    let certified = certified(services["certs"]["entrypoint"][2].as_str().expect("a command"));
    let (mut volumes, mut ports) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let service = &services[&format!("latchd-{id}")];
        check_node(&configured(&compose_variables(service)), id, &certified);
        let check = strings(&service["healthcheck"]["test"]);
        assert_eq!(&check[..2], ["CMD", "latchd"]);
        accepted(&check[2..]);
        assert!(service["depends_on"]["certs"]["condition"] == "service_completed_successfully");
        volumes.push(strings(&service["volumes"])[0]);
        ports.push(strings(&service["ports"])[0]);
    }
    for own in [&mut volumes, &mut ports] {
        own.sort_unstable();
        own.dedup();
        assert_eq!(own.len(), 3, "each node has its own: {own:?}");
    }
}

/// The variables of the StatefulSet's container as the pod `latchd-{id}` has them.
fn pod_variables(container: &Value, id: u64) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for variable in container["env"].as_array().expect("variables") {
        let name = variable["name"].as_str().expect("a name").to_owned();
        let value = match &variable["valueFrom"] {
            Value::Null => text(&variable["value"]),
            from if !from["fieldRef"].is_null() => {
                assert_eq!(from["fieldRef"]["fieldPath"], "metadata.labels['apps.kubernetes.io/pod-index']");
                id.to_string()
            }
            from => from["secretKeyRef"]["key"].as_str().expect("a secret").to_owned(),
        };
        let value = variables.iter().fold(value, |value: String, (name, known): (&String, &String)| {
            value.replace(&format!("$({name})"), known)
        });
        assert!(!value.contains("$("), "{name} = {value}: Kubernetes fills in only what stands before");
        variables.insert(name, value);
    }
    variables
}

#[test]
fn the_stateful_set_forms_one_cluster_behind_probes_that_exist() {
    let documents = yaml("deploy/kubernetes.yaml");
    let of_kind = |kind: &str| documents.iter().filter(|document| document["kind"] == kind).collect::<Vec<_>>();
    let set = of_kind("StatefulSet")[0];
    let (spec, pod) = (&set["spec"], &set["spec"]["template"]["spec"]);
    let container = &pod["containers"][0];
    accepted(&strings(&container["args"]));
    let text = std::fs::read_to_string(file("deploy/kubernetes.yaml")).expect("the file");
    let command = text.lines().find(|line| line.contains("latchd certs init")).expect("how to make certificates");
    let certified = certified(command.trim_start_matches(['#', ' ']));
    let first = spec["ordinals"]["start"].as_u64().expect("the first ordinal");
    for id in first..first + spec["replicas"].as_u64().expect("replicas") {
        let config = configured(&pod_variables(container, id));
        check_node(&config, id, &certified);
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(config.server.drain_timeout.as_secs()));
    }
    let paths: Value = serde_json::from_str(&latchd::dialects::openapi::json()).expect("JSON");
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert!(!paths["paths"][path].is_null(), "{path}");
    }
    check_selectors(&documents, set, &certified);
    assert_eq!(of_kind("PodDisruptionBudget")[0]["spec"]["maxUnavailable"], 1);
    assert_eq!(pod["enableServiceLinks"], false);
}

/// Services and the budget mean the pods of the set, and the names that peers dial are those of the headless service.
fn check_selectors(documents: &[Value], set: &Value, certified: &BTreeMap<u64, String>) {
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    let headless = set["spec"]["serviceName"].as_str().expect("a service");
    let mut found = 0;
    for document in documents.iter().filter(|document| document["kind"] == "Service") {
        assert_eq!(&document["spec"]["selector"], labels);
        if document["metadata"]["name"] == headless {
            assert_eq!(
                (&document["spec"]["clusterIP"], &document["spec"]["publishNotReadyAddresses"]),
                (&"None".into(), &true.into())
            );
            found += 1;
        }
    }
    assert_eq!(found, 1, "the service {headless}");
    let name = set["metadata"]["name"].as_str().expect("a name");
    for (id, host) in certified {
        assert_eq!(*host, format!("{name}-{id}.{headless}"));
    }
}

#[test]
fn the_unit_starts_the_server_with_flags_that_exist() {
    let unit = std::fs::read_to_string(file("deploy/latchd.service")).expect("the unit");
    let mut keys: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut section = "";
    for line in unit.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            assert!(["Unit", "Service", "Install"].contains(&name), "{line}");
            section = name;
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line} is no setting"));
        assert!(!section.is_empty() && !key.contains(' '), "{line}");
        keys.entry(key).or_default().push(value);
    }
    let start: Vec<&str> = keys["ExecStart"][0].split_whitespace().collect();
    assert!(Path::new(start[0]).is_absolute());
    accepted(&start[1..]);
    let state = format!("/var/lib/{}/", keys["StateDirectory"][0]);
    assert!(start.iter().any(|word| word.starts_with(&state)), "with ProtectSystem=strict only {state} is writable");
    let drain = Config::default().server.drain_timeout;
    let stop = humantime::parse_duration(keys["TimeoutStopSec"][0]).expect("a duration");
    assert!(stop > drain, "{stop:?} for a drain of {drain:?}");
    for hardening in ["NoNewPrivileges", "ProtectSystem", "RestrictAddressFamilies", "SystemCallFilter"] {
        assert!(keys.contains_key(hardening), "{hardening}");
    }
}
