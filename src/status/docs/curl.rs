//! The command line that asks an endpoint, ready to be copied.

use super::parts::{list, text};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// `$URL` is where the server is; a credential stands there where one is needed.
pub fn line(path: &str, method: &str, operation: &Value) -> String {
    let body = operation["requestBody"]["content"].as_object().and_then(|contents| contents.values().next());
    let example = body.and_then(|body| body.get("example"));
    let mut line = String::from("curl");
    line.push_str(&credential(operation));
    if operation["responses"]["200"]["content"].get("text/event-stream").is_some() {
        line.push_str(" -N");
    }
    if method != "get" && !(method == "post" && example.is_some()) {
        line.push_str(&format!(" -X {}", method.to_uppercase()));
    }
    line.push_str(&format!(" \"$URL{}\"", address(path, list(&operation["parameters"]))));
    if let Some(example) = example {
        let body = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        line.push_str(&format!(" -d '{}'", body.replace('\'', r"'\''")));
    }
    line
}

/// The first way in that the endpoint takes; a credential where it says nothing of its own.
fn credential(operation: &Value) -> String {
    let Some(alternatives) = operation["security"].as_array() else { return " -u :PASSWORD".to_owned() };
    let takes = |one: &Value, what: &str| one.get(what).is_some();
    let needs_session = alternatives.iter().any(|one| takes(one, "session"));
    let is_open = alternatives.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty));
    let secret =
        alternatives.iter().any(|one| one.as_object().is_some_and(|one| one.keys().any(|key| key != "session")));
    let password = if secret && !is_open { " -u :PASSWORD" } else { "" };
    let session = if needs_session { " -b jar" } else { "" };
    format!("{password}{session}")
}

/// The path with examples in it, and the parameters that must be there.
fn address(path: &str, parameters: &[Value]) -> String {
    let mut address = path.to_owned();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        let name = text(&parameter["name"]);
        address = address.replace(&format!("{{{name}}}"), &value(parameter));
    }
    let needed = parameters.iter().filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let pairs: Vec<String> = needed.map(|asked| format!("{}={}", text(&asked["name"]), value(asked))).collect();
    if pairs.is_empty() { address } else { format!("{address}?{}", pairs.join("&")) }
}

/// An example of a parameter, else its name in capitals.
fn value(parameter: &Value) -> String {
    let example = [&parameter["example"], &parameter["schema"]["example"]].into_iter().find(|given| !given.is_null());
    match example {
        Some(Value::String(example)) => utf8_percent_encode(example, NON_ALPHANUMERIC).to_string(),
        Some(other) => other.to_string(),
        None => text(&parameter["name"]).to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn line_has_all_that_the_endpoint_needs() {
        let operation = json!({
            "security": [{"session": [], "basic": []}],
            "parameters": [
                {"name": "name", "in": "path", "schema": {"example": "a/b"}},
                {"name": "key", "in": "query", "required": true},
                {"name": "more", "in": "query"},
            ],
            "requestBody": {"content": {"application/json": {"example": {"why": "it's late"}}}},
        });
        let delete = line("/v1/locks/{name}", "delete", &operation);
        assert_eq!(
            delete,
            r#"curl -u :PASSWORD -b jar -X DELETE "$URL/v1/locks/a%2Fb?key=KEY" -d '{"why":"it'\''s late"}'"#
        );
        assert_eq!(line("/docs", "get", &json!({"security": [{}]})), "curl \"$URL/docs\"");
        assert_eq!(line("/status", "get", &json!({})), "curl -u :PASSWORD \"$URL/status\"");
    }
}
