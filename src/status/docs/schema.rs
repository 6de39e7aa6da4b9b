//! Schemas: the type of a value, and the tables of those that have names.

use super::super::html::Html;
use super::parts::{inline, list, paragraph, text};
use serde_json::Value;

const REFERENCE: &str = "#/components/schemas/";

/// Every named schema with its fields.
pub fn named_schemas(html: &mut Html, document: &Value) {
    html.raw("<h2 id=\"shapes\">Shapes</h2>\n");
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        html.raw("<section class=\"endpoint\"><h3 id=\"shape-").text(name).raw("\"><code>").text(name);
        html.raw("</code></h3>\n");
        paragraph(html, text(&schema["description"]));
        fields(html, schema);
        html.raw("</section>\n");
    }
}

fn fields(html: &mut Html, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else {
        return;
    };
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    html.raw("<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"Fields\"><table class=\"rows\"><thead><tr><th>Field</th><th>Value</th><th>Meaning</th></tr>");
    html.raw("</thead><tbody>\n");
    for (name, property) in properties {
        html.raw("<tr><td><code>").text(name).raw("</code>");
        if !required.contains(&name.as_str()) {
            html.raw(" <span class=\"quiet\">may be absent</span>");
        }
        html.raw("</td><td>");
        type_and_bounds(html, property);
        html.raw("</td><td>");
        inline(html, text(&property["description"]));
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

/// A link to a named schema, or to several of them.
pub fn link(html: &mut Html, schema: &Value) {
    if let Some(name) = text(&schema["$ref"]).strip_prefix(REFERENCE) {
        html.raw("<a href=\"#shape-").text(name).raw("\"><code>").text(name).raw("</code></a>");
    }
    for (at, one) in list(&schema["anyOf"]).iter().chain(list(&schema["oneOf"])).enumerate() {
        html.raw(if at > 0 { " or " } else { "" });
        type_and_bounds(html, one);
    }
}

pub fn type_and_bounds(html: &mut Html, schema: &Value) {
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
        type_and_bounds(html, items);
    }
    bounds(html, schema);
}

fn bounds(html: &mut Html, schema: &Value) {
    let mut bounds = Vec::new();
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => bounds.push(format!("{least} to {most}")),
        (Some(least), None) => bounds.push(format!("at least {least}")),
        (None, Some(most)) => bounds.push(format!("at most {most}")),
        (None, None) => {}
    }
    if let Some(longest) = schema.get("maxLength") {
        bounds.push(format!("at most {longest} characters"));
    }
    if let Some(default) = schema.get("default") {
        bounds.push(format!("default {default}"));
    }
    if !bounds.is_empty() {
        html.raw(" <span class=\"quiet\">").text(bounds.join(", ")).raw("</span>");
    }
}
