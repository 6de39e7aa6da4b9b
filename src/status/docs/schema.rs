//! Shapes: what a value is, and the tables of those that have names.

use super::super::html::Html;
use super::json::{list, text};
use super::prose::{inline, prose};
use serde_json::Value;

const REFERENCE: &str = "#/components/schemas/";

/// Every named shape with its fields.
pub fn all(html: &mut Html, document: &Value) {
    html.raw("<h2 id=\"shapes\">Shapes</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        html.raw("<section class=\"endpoint\"><h3 id=\"shape-").text(name).raw("\"><code>").text(name);
        html.raw("</code></h3>\n");
        prose(html, text(&schema["description"]));
        fields(html, schema);
        html.raw("</section>\n");
    }
}

fn fields(html: &mut Html, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return;
    };
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    html.raw("<div class=\"frame\"><table class=\"rows\"><thead><tr><th>Field</th><th>Value</th><th>Meaning</th></tr>");
    html.raw("</thead><tbody>\n");
    for (name, property) in properties {
        html.raw("<tr><td><code>").text(name).raw("</code>");
        if !required.contains(&name.as_str()) {
            html.raw(" <span class=\"quiet\">may be absent</span>");
        }
        html.raw("</td><td>");
        sort_of(html, property);
        html.raw("</td><td>");
        inline(html, text(&property["description"]));
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

/// A link to a named shape, or to several of them.
pub fn link(html: &mut Html, schema: &Value) {
    if let Some(name) = text(&schema["$ref"]).strip_prefix(REFERENCE) {
        html.raw("<a href=\"#shape-").text(name).raw("\"><code>").text(name).raw("</code></a>");
    }
    for (at, one) in list(&schema["anyOf"]).iter().chain(list(&schema["oneOf"])).enumerate() {
        html.raw(if at > 0 { " or " } else { "" });
        sort_of(html, one);
    }
}

/// What a value is: its type and its bounds.
pub fn sort_of(html: &mut Html, schema: &Value) {
    if schema.get("$ref").is_some() || schema.get("anyOf").is_some() || schema.get("oneOf").is_some() {
        link(html, schema);
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect(),
        one => vec![text(one)],
    };
    html.text(types.join(" or "));
    if let Some(items) = schema.get("items") {
        html.raw(" of ");
        sort_of(html, items);
    }
    bounds(html, schema);
}

fn bounds(html: &mut Html, schema: &Value) {
    let mut said = Vec::new();
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => said.push(format!("{least} to {most}")),
        (Some(least), None) => said.push(format!("at least {least}")),
        (None, Some(most)) => said.push(format!("at most {most}")),
        (None, None) => {}
    }
    if let Some(longest) = schema.get("maxLength") {
        said.push(format!("at most {longest} characters"));
    }
    if let Some(default) = schema.get("default") {
        said.push(format!("default {default}"));
    }
    if !said.is_empty() {
        html.raw(" <span class=\"quiet\">").text(said.join(", ")).raw("</span>");
    }
}
