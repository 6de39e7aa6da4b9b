//! Counts of requests by dialect, method and class of status: every counter is looked up once and then only added to.

use std::sync::OnceLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Under which label the requests for each path are counted. Instead of axum's `MatchedPath`, which a request only has once it is
/// routed.
#[derive(Debug)]
pub struct RouteLabels {
    names: Vec<&'static str>,
    exact: Vec<(String, Label)>,
    prefixes: Vec<(String, Label)>,
}

/// The place of a label among the names.
#[derive(Clone, Copy, Debug)]
pub struct Label(usize);

/// Pages, probes, documents, and paths that do not exist.
pub const OTHER: &str = "other";

const METHODS: [&str; 4] = ["GET", "POST", "DELETE", "other"];
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Default for RouteLabels {
    fn default() -> Self {
        Self { names: vec![OTHER], exact: Vec::new(), prefixes: Vec::new() }
    }
}

impl RouteLabels {
    /// Counts a route under a label. A route with a parameter stands for every path that begins like it.
    pub fn add(&mut self, route: &str, label: &'static str) {
        match route.split_once('{') {
            Some((prefix, _)) => self.add_prefix(prefix.to_owned(), label),
            None => {
                let label = self.label(label);
                self.exact.push((route.to_owned(), label));
            }
        }
    }

    /// Counts every path that begins like this under a label.
    pub fn add_prefix(&mut self, prefix: String, label: &'static str) {
        let label = self.label(label);
        self.prefixes.push((prefix, label));
    }

    /// The label of a path.
    pub fn of(&self, path: &str) -> Label {
        let exact = self.exact.iter().find(|(route, _)| *route == path).map(|(_, label)| *label);
        let begins = || self.prefixes.iter().find(|(prefix, _)| path.starts_with(&**prefix)).map(|(_, label)| *label);
        exact.or_else(begins).unwrap_or(Label(0))
    }

    /// What a label is called in metrics and traces.
    pub fn name_of(&self, label: Label) -> &'static str {
        self.names[label.0]
    }

    fn label(&mut self, name: &'static str) -> Label {
        let known = self.names.iter().position(|known| *known == name);
        Label(known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        }))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    dialect: &'static str,
    method: &'static str,
    status_class: &'static str,
}

/// The family `latchd_http_requests_total`.
#[derive(Debug)]
pub struct Requests {
    pub(super) family: Family<Labels, Counter>,
    pub labels: RouteLabels,
    /// Filled as combinations occur, so that only those are shown.
    resolved: Vec<[[OnceLock<Counter>; CLASSES.len()]; METHODS.len()]>,
}

impl Requests {
    pub fn new(labels: RouteLabels) -> Self {
        let resolved = labels.names.iter().map(|_| Default::default()).collect();
        Self { family: Family::default(), labels, resolved }
    }

    /// Counts one answered request.
    pub fn count(&self, label: Label, method: &str, status: u16) {
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        let resolve = || {
            self.family.get_or_create_owned(&Labels {
                dialect: self.labels.names[label.0],
                method: METHODS[method],
                status_class: CLASSES[class],
            })
        };
        self.resolved[label.0][method][class].get_or_init(resolve).inc();
    }
}
