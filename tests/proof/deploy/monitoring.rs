//! The alerts for Prometheus and the dashboard for Grafana: their metrics exist, and `promtool` tests the alerts.

use super::{file, yaml};
use crate::docs::exposition;
use crate::proof::tools::{promtool, run};
use serde_json::Value;
use std::collections::BTreeSet;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/latchd.json";

fn alerts() -> Vec<Value> {
    let document = yaml(ALERTS).remove(0);
    document["groups"][0]["rules"].as_array().expect("rules").clone()
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(file(DASHBOARD)).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter(|panel| panel["type"] != "row").cloned().collect()
}

/// The metrics in an expression.
fn metrics(expression: &str) -> Vec<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("latchd_") || word.starts_with("process_")).collect()
}

/// Names and labels as Prometheus stores them: a histogram is known by its buckets, sum and count.
fn stored(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.split(['{', ' ']).next()).collect()
}

#[test]
fn every_metric_of_alerts_and_dashboard_is_shown() {
    let text = exposition();
    // A node without TLS, without peers and without keys that end shows none of them.
    let elsewhere = [
        "latchd_certificate_expiry_timestamp_seconds",
        "latchd_peer_lag_entries",
        "latchd_key_expiry_timestamp_seconds",
    ];
    let mut known = stored(&text);
    for metric in elsewhere {
        assert!(text.contains(&format!("# HELP {metric} ")), "{metric}");
        known.insert(metric);
    }
    let dashboard = dashboard();
    let annotations = dashboard["annotations"]["list"].as_array().expect("annotations").iter();
    let variables = dashboard["templating"]["list"].as_array().expect("variables").iter();
    let of_panels = panels(&dashboard);
    let targets = of_panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let of_alerts = alerts();
    let expressions = annotations.chain(targets).chain(&of_alerts).map(|with| &with["expr"]);
    let expressions: Vec<&Value> = expressions.chain(variables.map(|variable| &variable["query"]["query"])).collect();
    let mut used = BTreeSet::new();
    for expression in expressions.into_iter().filter_map(Value::as_str) {
        for metric in metrics(expression) {
            assert!(known.contains(metric), "{metric} in {expression} is not shown");
            used.insert(metric);
        }
    }
    assert!(used.len() > 45, "{used:?}");
}

#[test]
fn every_alert_has_a_page_and_a_test() {
    let tests = std::fs::read_to_string(file("deploy/prometheus/alerts_test.yml")).expect("the tests");
    for alert in alerts() {
        let name = alert["alert"].as_str().expect("a name");
        assert!(tests.contains(name), "{name} has no test");
        let page = alert["annotations"]["runbook"].as_str().expect("a runbook");
        assert!(file(page).is_file(), "{name}: {page}");
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().expect("a severity")), "{name}");
    }
}

#[test]
fn promtool_accepts_the_alerts_and_their_tests() {
    run(promtool().args(["check", "rules", "--lint-fatal"]).arg(file(ALERTS)));
    run(promtool().args(["check", "config", "--syntax-only"]).arg(file("deploy/prometheus/prometheus.yml")));
    run(promtool().args(["test", "rules"]).arg(file("deploy/prometheus/alerts_test.yml")));
}

/// Grafana shows what lies over another panel only in part.
#[test]
fn panels_of_the_dashboard_have_their_own_place_and_explain_themselves() {
    let dashboard = dashboard();
    let all = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = all.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), all.len());
    let mut taken = BTreeSet::new();
    for panel in all {
        let place = |side: &str| panel["gridPos"][side].as_u64().expect("a number");
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
    }
    for panel in panels(&dashboard) {
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", panel["title"]);
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(target["expr"].as_str().expect("a query").contains("job=\"$job\""), "{}", panel["title"]);
        }
    }
}
