//! Sample bodies: the example that the document gives, else one made from the examples and types of its schema.

use super::parts::{list, text};
use serde_json::{Map, Value, json};

/// Shapes within shapes are followed so deep.
const DEPTH_MAX: usize = 16;

/// A sample of a body or an answer of this kind.
pub fn of_content(document: &Value, content: &Value) -> Option<Value> {
    let given = content.get("example").cloned();
    given.or_else(|| content.get("schema").map(|schema| of_schema(document, schema, DEPTH_MAX)))
}

fn of_schema(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    let deeper = |schema: &Value| of_schema(document, schema, depth - 1);
    if let Some(named) = text(&schema["$ref"]).strip_prefix('#').and_then(|at| document.pointer(at)) {
        return deeper(named);
    }
    let given = [&schema["example"], &schema["examples"][0], &schema["const"], &schema["enum"][0], &schema["default"]];
    if let Some(given) = given.into_iter().find(|given| !given.is_null()) {
        return given.clone();
    }
    let choices = list(&schema["oneOf"]).iter().chain(list(&schema["anyOf"]));
    if let Some(choice) = choices.into_iter().find(|choice| text(&choice["type"]) != "null") {
        return deeper(choice);
    }
    let parts = list(&schema["allOf"]);
    if !parts.is_empty() {
        return parts.iter().fold(of_type(schema, deeper), |whole, part| merged(whole, deeper(part)));
    }
    of_type(schema, deeper)
}

fn of_type(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let least = &schema["minimum"];
    match kind(schema) {
        "array" => json!([deeper(&schema["items"])]),
        "string" => json!("text"),
        "integer" if least.as_u64() > Some(0) => least.clone(),
        "integer" => json!(1),
        "number" => json!(1.5),
        "boolean" => json!(true),
        _ if schema.get("properties").is_some() => of_object(schema, deeper),
        _ => json!({}),
    }
}

/// The first type that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).find(|kind| *kind != "null").unwrap_or_default(),
        one => text(one),
    }
}

/// The fields that are always there.
fn of_object(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let required: Vec<&str> = list(&schema["required"]).iter().map(text).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let shown = fields.filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()));
    Value::Object(shown.map(|(name, field)| (name.clone(), deeper(field))).collect::<Map<_, _>>())
}

fn merged(one: Value, other: Value) -> Value {
    match (one, other) {
        (Value::Object(mut one), Value::Object(other)) => {
            one.extend(other);
            Value::Object(one)
        }
        (_, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_has_examples_and_what_is_always_there() {
        let document = json!({"components": {"schemas": {
            "Lock": {"type": "object", "required": ["name", "holders", "until"], "properties": {
                "name": {"type": "string", "example": "deploy"},
                "holders": {"type": "array", "items": {"$ref": "#/components/schemas/Hold"}},
                "until": {"type": ["number", "null"]},
                "seldom": {"type": "string"}}},
            "Hold": {"allOf": [{"type": "object", "required": ["token"], "properties": {
                "token": {"type": "integer", "minimum": 7}}}]},
            "Loop": {"type": "array", "items": {"$ref": "#/components/schemas/Loop"}},
        }}});
        let of = |name: &str| {
            let schema =
                json!({"schema": {"anyOf": [{"type": "null"}, {"$ref": format!("#/components/schemas/{name}")}]}});
            of_content(&document, &schema).expect("a sample")
        };
        assert_eq!(of("Lock"), json!({"name": "deploy", "holders": [{"token": 7}], "until": 1.5}));
        assert!(of("Loop").is_array(), "a shape within itself ends");
        assert_eq!(of_content(&document, &json!({"example": 3})), Some(json!(3)));
        assert_eq!(of_content(&document, &json!({})), None);
    }
}
