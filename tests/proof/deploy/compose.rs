//! The compose files: one node, and a cluster.

use super::{accepted, certified, check_commands, check_node, check_patience, configured, file, strings, text, yaml};
use latchd::engine::PeerFiles;
use serde_json::Value;
use std::collections::BTreeMap;

const ONE: &str = "docker-compose.yml";
const CLUSTER: &str = "docker-compose.cluster.yml";

/// The variables of a compose service, with the shell's own ones filled in.
fn compose_variables(service: &Value) -> BTreeMap<String, String> {
    let filled = |value: String| if value.starts_with("${LATCHD_API_KEY") { "k".to_owned() } else { value };
    let variables = service["environment"].as_object().expect("variables");
    variables.iter().map(|(name, value)| (name.clone(), filled(text(value)))).collect()
}

fn compose(name: &str) -> Value {
    let [compose] = yaml(name).try_into().expect("one document");
    compose
}

/// The ports on the machine itself.
fn ports(compose: &Value) -> Vec<String> {
    let services = compose["services"].as_object().expect("services").values();
    let ports = services.filter(|service| !service["ports"].is_null()).flat_map(|service| strings(&service["ports"]));
    ports.map(|port| port.split(':').next().expect("a port").to_owned()).collect()
}

#[test]
fn one_node_of_compose_is_configured_by_variables_that_exist() {
    let service = &compose(ONE)["services"]["latchd"];
    let config = configured(&compose_variables(service));
    assert_eq!(config.cluster.listen(), None);
    assert!(config.has_credentials() && !config.in_memory);
    check_service(service);
}

/// `stop`, `restart`, `logs` and `down` without a name mean everything, so nothing may hide in a profile; and both files
/// may be up at the same time.
#[test]
fn each_compose_file_is_a_project_of_its_own_that_needs_no_names() {
    let files = [compose(ONE), compose(CLUSTER)];
    for file in &files {
        let services = file["services"].as_object().expect("services");
        for (name, service) in services {
            assert!(service["profiles"].is_null(), "{name}");
            for needed in service["depends_on"].as_object().into_iter().flat_map(|needed| needed.keys()) {
                assert!(services.contains_key(needed), "{name} needs {needed}");
            }
            let declared = file["volumes"].as_object().expect("declared");
            let named = strings(&service["volumes"]).into_iter().filter_map(|volume| volume.split(':').next());
            for volume in named.filter(|volume| !volume.starts_with('.')) {
                assert!(declared.contains_key(volume), "{volume}");
            }
        }
    }
    assert_ne!(files[0]["name"], files[1]["name"]);
    let mut all: Vec<String> = files.iter().flat_map(ports).collect();
    all.sort();
    let mut own = all.clone();
    own.dedup();
    assert_eq!((all.len(), &own), (4, &all), "each service has a port of its own");
}

#[test]
fn three_nodes_of_compose_form_one_cluster() {
    let compose = compose(CLUSTER);
    let services = compose["services"].as_object().expect("services");
    let certified = certified(services["certs"]["entrypoint"][2].as_str().expect("a command"));
    let mut volumes = Vec::new();
    for id in 1..=3 {
        let service = &services[&format!("latchd-{id}")];
        let config = configured(&compose_variables(service));
        check_node(&config, id, &certified);
        let PeerFiles { cert, key, .. } = config.cluster.tls().expect("certificates");
        assert!(cert.ends_with(format!("node{id}.pem")) && key.ends_with(format!("node{id}.key")), "{cert:?} {key:?}");
        assert!(service["depends_on"]["certs"]["condition"] == "service_completed_successfully");
        check_service(service);
        volumes.push(strings(&service["volumes"])[0]);
    }
    volumes.sort_unstable();
    volumes.dedup();
    assert_eq!(volumes.len(), 3, "each node has its own: {volumes:?}");
}

/// What every node of either file has.
fn check_service(service: &Value) {
    let config = configured(&compose_variables(service));
    let grace = service["stop_grace_period"].as_str().expect("a duration");
    check_patience(&config, humantime::parse_duration(grace).expect("a duration"));
    let check = strings(&service["healthcheck"]["test"]);
    assert_eq!(&check[..2], ["CMD", "latchd"]);
    accepted(&check[2..]);
    let (image, tag) = service["image"].as_str().and_then(|image| image.rsplit_once(':')).expect("a tag");
    assert_eq!((image, tag), ("latchd", env!("CARGO_PKG_VERSION")));
    // A certificate that is renamed over the old one is seen only through a directory.
    let mounted = strings(&service["volumes"]).into_iter().find(|volume| volume.starts_with("./secrets:"));
    let folder = mounted.and_then(|volume| volume.split(':').nth(1)).expect("the certificates' directory");
    let (cert, key) = config.tls.pair().expect("a certificate");
    assert!([cert, key].iter().all(|file| file.parent() == Some(folder.as_ref())), "{cert:?} {key:?} in {folder}");
}

#[test]
fn compose_file_headers_show_existing_commands() {
    for (name, runners) in [
        (ONE, ["exec latchd latchd ", "run --rm --no-deps --volume \"$PWD:/backup:ro\" latchd "].as_slice()),
        (CLUSTER, &["exec latchd-1 latchd ", "run --rm --volume \"$PWD:/backup:ro\" latchd-1 "]),
    ] {
        check_commands(name, runners);
        let head = super::head_of(name);
        for task in ["up:", "logs:", "stop:", "upgrade:", "backup:", "restore:", "down:"] {
            assert!(head.contains(task), "{name} does not say how to {task}");
        }
    }
}

#[test]
fn compose_key_file_is_ignored_by_git() {
    let ignored = std::fs::read_to_string(file(".gitignore")).expect("the file");
    assert!(ignored.lines().any(|line| line == ".env") && ignored.lines().any(|line| line == "secrets/"));
    assert!(super::head_of(ONE).contains("> .env"));
}
