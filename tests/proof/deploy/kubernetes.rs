//! The Kubernetes manifest.

use super::{accepted, certified, check_commands, check_node, check_patience, configured, strings, text, yaml};
use latchd::config::Config;
use latchd::engine::PeerFiles;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const FILE: &str = "deploy/kubernetes.yaml";
/// The limit of the container.
const MEMORY: u64 = 1 << 30;
/// Measured with names of 40 bytes and two entries of metadata, its event included.
const HOLD_BYTES: u64 = 1200;

/// The variables of the StatefulSet's container as the pod `latchd-{id}` has them.
pub(super) fn pod_variables(container: &Value, id: u64) -> BTreeMap<String, String> {
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
fn stateful_set_forms_one_cluster_with_existing_probes() {
    let documents = yaml(FILE);
    let of_kind = |kind: &str| documents.iter().filter(|document| document["kind"] == kind).collect::<Vec<_>>();
    let set = of_kind("StatefulSet")[0];
    let (spec, pod) = (&set["spec"], &set["spec"]["template"]["spec"]);
    let container = &pod["containers"][0];
    accepted(&strings(&container["args"]));
    let head = super::head_of(FILE);
    let command = head.lines().find(|line| line.contains("latchd certs init")).expect("how to make certificates");
    let certified = certified(command);
    let first = spec["ordinals"]["start"].as_u64().expect("the first ordinal");
    for id in first..first + spec["replicas"].as_u64().expect("replicas") {
        let config = configured(&pod_variables(container, id));
        check_node(&config, id, &certified);
        check_secrets(pod, &config, id);
        let probed = config.server.probe_listen.as_ref().expect("probes need no certificate").port;
        let ports = container["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|port| port["name"] == "probes" && port["containerPort"] == probed));
        let seconds = |value: &Value| Duration::from_secs(value.as_u64().expect("seconds"));
        let before = seconds(&container["lifecycle"]["preStop"]["sleep"]["seconds"]);
        check_patience(&config, seconds(&pod["terminationGracePeriodSeconds"]) - before);
        assert!(config.locks.holds_max * HOLD_BYTES <= MEMORY / 2, "a snapshot may hold everything twice");
    }
    let paths: Value = serde_json::from_str(&crate::pages::document::document()).expect("JSON");
    for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "probes");
        assert!(!paths["paths"][path].is_null(), "{path}");
    }
    check_selectors(&documents, set, &certified);
    assert_eq!(of_kind("PodDisruptionBudget")[0]["spec"]["maxUnavailable"], 1);
    assert_eq!(pod["enableServiceLinks"], false);
}

/// Each node sees its own secret, and only that.
fn check_secrets(pod: &Value, config: &Config, id: u64) {
    let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts").iter();
    let mount = mounts.filter(|mount| mount["name"] == "peers").collect::<Vec<_>>()[0];
    assert_eq!(mount["subPathExpr"], "$(LATCHD_CLUSTER_NODE_ID)");
    let volumes = pod["volumes"].as_array().expect("volumes").iter();
    let volume = volumes.filter(|volume| volume["name"] == "peers").collect::<Vec<_>>()[0];
    let own = volume["projected"]["sources"].as_array().expect("sources").iter();
    let own: Vec<&Value> = own
        .filter(|source| source["secret"]["name"] == format!("latchd-node-{id}"))
        .map(|source| &source["secret"])
        .collect();
    let [own] = own.as_slice() else { panic!("node {id} has {} secrets", own.len()) };
    let folder = mount["mountPath"].as_str().expect("a path");
    let seen: BTreeSet<String> = own["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| {
            let path = item["path"]
                .as_str()
                .and_then(|path| path.strip_prefix(&format!("{id}/")))
                .expect("in its own directory");
            format!("{folder}/{path}")
        })
        .collect();
    let PeerFiles { ca, cert, key } = config.cluster.tls().expect("certificates");
    assert_eq!(seen, BTreeSet::from([ca, cert, key].map(|file| file.display().to_string())));
}

#[test]
fn pods_use_a_tagged_image_and_prefer_spreading() {
    let documents = yaml(FILE);
    let set = documents.iter().find(|document| document["kind"] == "StatefulSet").expect("the set");
    let (spec, pod) = (&set["spec"], &set["spec"]["template"]["spec"]);
    let container = &pod["containers"][0];
    let image = container["image"].as_str().expect("an image");
    assert!(image.contains('/') && image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{image}");
    assert!(super::head_of(FILE).contains(&format!("docker push {image}")), "how it gets there");
    assert_eq!(container["imagePullPolicy"], "IfNotPresent");
    assert_eq!(container["resources"]["limits"]["memory"], "1Gi", "MEMORY");
    assert!(spec["minReadySeconds"].as_u64() > Some(0));
    let labels = &spec["selector"]["matchLabels"];
    // Wished for: a pod that no machine is left for starts all the same.
    let apart = &pod["affinity"]["podAntiAffinity"];
    assert!(apart["requiredDuringSchedulingIgnoredDuringExecution"].is_null());
    let wish = &apart["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"];
    assert_eq!(
        (&wish["topologyKey"], &wish["labelSelector"]["matchLabels"]),
        (&"kubernetes.io/hostname".into(), labels)
    );
    let zones = &pod["topologySpreadConstraints"][0];
    assert_eq!(
        (&zones["topologyKey"], &zones["whenUnsatisfiable"]),
        (&"topology.kubernetes.io/zone".into(), &"ScheduleAnyway".into())
    );
    assert_eq!(&zones["labelSelector"]["matchLabels"], labels);
}

#[test]
fn only_the_pods_of_the_set_reach_the_peer_port() {
    let documents = yaml(FILE);
    let set = documents.iter().find(|document| document["kind"] == "StatefulSet").expect("the set");
    let policy = documents.iter().find(|document| document["kind"] == "NetworkPolicy").expect("a policy");
    let labels = &set["spec"]["selector"]["matchLabels"];
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    let rules = policy["spec"]["ingress"].as_array().expect("rules");
    let allows =
        |rule: &&Value, port: &str| rule["ports"].as_array().expect("ports").iter().any(|own| own["port"] == port);
    let peers: Vec<&Value> = rules.iter().filter(|rule| allows(rule, "peers")).collect();
    assert!(peers.len() == 1 && &peers[0]["from"][0]["podSelector"]["matchLabels"] == labels, "{peers:?}");
    assert!(rules.iter().any(|rule| allows(&rule, "https")));
    let declared = set["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().expect("ports").iter();
    let declared: BTreeSet<&str> = declared.map(|port| port["name"].as_str().expect("a name")).collect();
    for port in rules.iter().flat_map(|rule| rule["ports"].as_array().expect("ports")) {
        assert!(declared.contains(port["port"].as_str().expect("a name")), "{port}");
    }
}

#[test]
fn kubernetes_headers_scale_with_existing_commands() {
    check_commands(FILE, &["kubectl exec latchd-1 -- latchd ", "#   latchd ", "   latchd "]);
    let head = super::head_of(FILE);
    for step in ["members add 4", "members promote 4", "members remove 5", "--replicas=4", "delete pvc data-latchd-5"] {
        assert!(head.contains(step), "{step}");
    }
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
