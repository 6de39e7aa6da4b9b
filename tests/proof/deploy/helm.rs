//! The Helm chart: rendered by Helm's engine, valid for Kubernetes' API, and the same cluster as the manifest.

use super::kubernetes::pod_variables;
use super::{check_node, configured, file, yaml};
use crate::proof::tools::{both, output, python, run};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

const CHART: &str = "deploy/helm/latchd";

fn renderer(release: &str, values: &Value) -> Command {
    let mut command = python("python");
    command.arg(file("tests/python/helm_chart.py")).arg(file(CHART)).arg(release).arg(values.to_string());
    command
}

/// Renders it and checks it against the schemas of the API.
fn rendered(release: &str, values: &Value) -> Vec<Value> {
    serde_json::from_str(&run(&mut renderer(release, values))).expect("JSON")
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn by_name(documents: Vec<Value>) -> BTreeMap<String, Value> {
    let named = documents.into_iter().map(|document| {
        let mut document = document;
        strip(&mut document);
        (format!("{} {}", document["kind"], document["metadata"]["name"]), document)
    });
    named.collect()
}

/// Removes the labels that only a chart has.
fn strip(value: &mut Value) {
    const OF_A_CHART: [&str; 4] =
        ["app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"];
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_A_CHART.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[test]
fn chart_with_its_defaults_makes_what_the_manifest_says() {
    let chart = by_name(rendered("latchd", &json!({})));
    let manifest = by_name(yaml("deploy/kubernetes.yaml"));
    assert_eq!(chart.keys().collect::<Vec<_>>(), manifest.keys().collect::<Vec<_>>());
    for (name, document) in &manifest {
        let ours = serde_json::to_string_pretty(&chart[name]).expect("JSON");
        assert_eq!(ours, serde_json::to_string_pretty(document).expect("JSON"), "{name}");
    }
}

#[test]
fn chart_under_another_name_forms_one_cluster_of_its_own() {
    let values = json!({ "fullnameOverride": "locks", "replicas": 4, "nodesMax": 7, "service": { "port": 443 } });
    let documents = rendered("other", &values);
    let set = of_kind(&documents, "StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let certified = (1..=3).map(|id| (id, format!("locks-{id}.locks-peers"))).collect();
    for id in 1..=3 {
        check_node(&configured(&pod_variables(container, id)), id, &certified);
    }
    let variables = pod_variables(container, 4);
    assert_eq!(variables["LATCHD_CLUSTER_ADVERTISE"], "https://locks-4.locks-peers:9443");
    assert_eq!(variables["LATCHD_URL"], "https://locks:443");
    let text = set.to_string();
    assert!(text.contains("locks-node-7") && text.contains("locks-tls") && text.contains("locks-api-key"), "{text}");
}

/// Two releases in one namespace must not find each other's pods.
#[test]
fn chart_selects_only_pods_of_its_release() {
    let documents =
        rendered("one", &json!({ "podMonitor": { "enabled": true, "labels": { "release": "prometheus" } } }));
    let set = of_kind(&documents, "StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/instance"], "one");
    for service in documents.iter().filter(|document| document["kind"] == "Service") {
        assert_eq!(&service["spec"]["selector"], labels);
    }
    for kind in ["PodDisruptionBudget", "PodMonitor", "StatefulSet"] {
        assert_eq!(&of_kind(&documents, kind)["spec"]["selector"]["matchLabels"], labels, "{kind}");
    }
    assert_eq!(&of_kind(&documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    assert_eq!(of_kind(&documents, "PodMonitor")["metadata"]["labels"]["release"], "prometheus");
}

#[test]
fn chart_of_a_node_alone_has_neither_peers_nor_a_budget() {
    let documents =
        rendered("alone", &json!({ "replicas": 1, "bootstrapNodes": 1, "networkPolicy": { "enabled": false } }));
    let kinds: Vec<&str> = documents.iter().map(|document| document["kind"].as_str().expect("a kind")).collect();
    assert!(!kinds.contains(&"PodDisruptionBudget") && !kinds.contains(&"NetworkPolicy"), "{kinds:?}");
    let set = of_kind(&documents, "StatefulSet");
    let config = configured(&pod_variables(&set["spec"]["template"]["spec"]["containers"][0], 1));
    assert!(config.cluster.listen().is_none() && config.has_credentials());
}

#[test]
fn chart_mounts_configuration_and_restarts_pods_when_it_changes() {
    let with = |config: &str| {
        rendered("x", &json!({ "config": config, "env": [{ "name": "LATCHD_LOG_LEVEL", "value": "debug" }] }))
    };
    let documents = with("[access]\nallow_anonymous = false\n");
    assert_eq!(of_kind(&documents, "ConfigMap")["data"]["config.toml"], "[access]\nallow_anonymous = false\n");
    let pod = |documents: &[Value]| of_kind(documents, "StatefulSet")["spec"]["template"].clone();
    let variables = pod_variables(&pod(&documents)["spec"]["containers"][0], 1);
    assert_eq!(
        (&*variables["LATCHD_CONFIG"], &*variables["LATCHD_LOG_LEVEL"]),
        ("/etc/latchd/config/config.toml", "debug")
    );
    let sum = |documents: &[Value]| pod(documents)["metadata"]["annotations"]["checksum/config"].clone();
    assert_ne!(sum(&documents), sum(&with("[access]\nallow_anonymous = true\n")));
}

#[test]
fn chart_refuses_values_that_make_no_cluster() {
    for (values, named) in [
        (json!({ "replicas": 9 }), "replicas: 9 is more than nodesMax: 5"),
        (json!({ "bootstrapNodes": 1 }), "bootstrapNodes: 1 is a node alone"),
        (json!({ "bootstrapNodes": 2 }), "/bootstrapNodes"),
        (json!({ "replica": 3 }), "'replica'"),
        (json!({ "fullnameOverride": "Not_A_Name" }), "/fullnameOverride"),
        (json!({ "service": { "port": 70000 } }), "/service/port"),
    ] {
        let refused = output(&mut renderer("x", &values));
        assert!(!refused.status.success(), "{values} is accepted");
        assert!(both(&refused).contains(named), "{values}: {}", both(&refused));
    }
}

#[test]
fn chart_has_the_version_of_the_service() {
    let chart = yaml(&format!("{CHART}/Chart.yaml")).remove(0);
    assert_eq!(
        (&chart["version"], &chart["appVersion"]),
        (&env!("CARGO_PKG_VERSION").into(), &env!("CARGO_PKG_VERSION").into())
    );
}
