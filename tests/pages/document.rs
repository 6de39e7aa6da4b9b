//! The OpenAPI document: committed, served, and complete.

use super::body;
use crate::support::client::Client;
use crate::support::spec::Spec;
use latchd::config::{Config, Inputs};
use latchd::http::code::Code;
use latchd::server::{openapi_json, router};
use std::path::Path;

const REFRESH: &str = "REFRESH_OPENAPI=1 cargo test --test all pages::document";

/// The document with the default configuration.
pub fn document() -> String {
    let config = Config::load(Inputs::default()).expect("the defaults are valid");
    openapi_json(&router::declarations(), &config)
}

#[test]
fn committed_document_matches_the_code() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi/latchd.json");
    let made = document();
    if std::env::var_os("REFRESH_OPENAPI").is_some() {
        std::fs::write(&committed, &made).expect("the copy can be written");
    }
    let copy = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(copy == made, "openapi/latchd.json is not what the code makes; refresh it with: {REFRESH}");
}

#[test]
fn document_is_served_and_page_shows_all_of_it() {
    let server = Spec::in_memory().api_key("secret").start();
    let mut anybody = Client::plain(&server);
    let served = anybody.get("/openapi.json");
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    let shown = body(&served);
    assert_eq!(shown["openapi"], "3.1.0");
    assert_eq!(served.text(), document());
    let page = anybody.get("/docs").text();
    let paths = shown["paths"].as_object().expect("paths");
    assert!(paths.len() > 20);
    for path in paths.keys() {
        assert!(page.contains(&format!(" {path}</code></h3>").replace("</code></h3>", "</code> <span")), "{path}");
    }
    let errors = anybody.get("/docs/errors").text();
    for code in Code::ALL {
        assert!(errors.contains(&format!("id=\"{}\"", code.row().name)), "{code:?}");
    }
}

#[test]
fn references_resolve_and_operation_ids_are_unique() {
    let document: serde_json::Value = serde_json::from_str(&document()).expect("JSON");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(schemas.contains_key(name), "{name} is not described");
    }
    let items = document["paths"].as_object().expect("paths").values();
    let operations = items.flat_map(|item| item.as_object().expect("methods").values());
    let mut names: Vec<&str> = operations.filter_map(|operation| operation["operationId"].as_str()).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// The types of all schemas that one value has to meet, in each part of the document.
fn combined(part: &serde_json::Value, found: &mut Vec<Vec<String>>) {
    if let Some(all) = part["allOf"].as_array() {
        found.push(all.iter().map(|schema| schema["type"].to_string()).collect());
    }
    let fields = part.as_object().into_iter().flat_map(|object| object.values());
    fields.chain(part.as_array().into_iter().flatten()).for_each(|part| combined(part, found));
}

/// A description of a field whose schema is inline becomes a second one, of an object.
#[test]
fn combined_schemas_are_of_one_type() {
    let mut found = Vec::new();
    combined(&serde_json::from_str(&document()).expect("JSON"), &mut found);
    assert!(!found.is_empty());
    found.iter().for_each(|types| assert!(types.windows(2).all(|pair| pair[0] == pair[1]), "no value is of {types:?}"));
}
