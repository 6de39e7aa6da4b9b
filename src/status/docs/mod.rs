//! The API as a page to read, made from the OpenAPI document, and the page about errors that problem types point at.
//!
//! The document is handed in as JSON, so that this page shows exactly what a generated client is made from.

mod curl;
mod endpoint;
mod grpc;
mod parts;
mod sample;
mod schema;

pub use grpc::Service;

use super::html::Html;
use parts::{framed, inline, list, paragraph, text};
use serde_json::Value;

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// The page of all endpoints, grouped by dialect, and of the gRPC services.
pub fn docs_page(document: &Value, services: &[Service]) -> String {
    let mut html = Html::default();
    html.raw("<h1>API</h1>\n");
    paragraph(&mut html, text(&document["info"]["description"]));
    html.raw("<p>In the command lines <code>URL</code> is where the server is, such as ");
    html.raw("<code>https://127.0.0.1:8443</code>, and <code>jar</code> the cookie jar of a session: ");
    html.raw("<code>curl -c jar -X POST $URL/session</code>. A self-signed certificate needs <code>-k</code> or ");
    html.raw("<code>--cacert</code>.</p>\n");
    contents(&mut html, document);
    for tag in list(&document["tags"]) {
        group(&mut html, document, tag);
    }
    grpc::services(&mut html, services);
    schema::named_schemas(&mut html, document);
    framed("API · latchd", html)
}

/// The page of every error with its status and what to do about it, from the document's `x-error-codes`. The anchors are what
/// problem types point at.
pub fn errors_page(document: &Value) -> String {
    let mut html = Html::default();
    html.raw("<h1>Errors</h1>\n<p>An endpoint of latchd's own answers an error as ");
    html.raw("<code>application/problem+json</code>, and its <code>type</code> points into this table. ");
    html.raw("<code>code</code> is stable. <code>retryable</code> means that the same request may succeed later and ");
    html.raw("that sending it again does no harm.</p>\n");
    html.raw("<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"Errors\"><table class=\"rows\"><thead><tr><th>Code</th><th>Status</th><th>Retryable</th>");
    html.raw("<th>Meaning and what to do</th></tr></thead><tbody>\n");
    list(&document["x-error-codes"]).iter().for_each(|row| error(&mut html, row));
    html.raw("</tbody></table></div>\n");
    framed("Errors · latchd", html)
}

fn error(html: &mut Html, row: &Value) {
    html.raw("<tr id=\"").text(text(&row["code"])).raw("\"><td><code>").text(text(&row["code"])).raw("</code></td>");
    html.raw("<td data-label=\"Status\">").text(&row["status"]).raw("</td><td data-label=\"Retryable\">");
    html.raw(if row["retryable"] == true { "yes" } else { "no" }).raw("</td><td>");
    html.text(text(&row["title"])).raw(".<span class=\"via\">");
    inline(html, text(&row["advice"]));
    html.raw("</span></td></tr>\n");
}

fn contents(html: &mut Html, document: &Value) {
    html.raw("<ul class=\"contents\">");
    for tag in list(&document["tags"]) {
        html.raw("<li><a href=\"#").text(anchor(text(&tag["name"]))).raw("\">").text(text(&tag["name"])).raw("</a>");
        html.raw("<ul>");
        for (path, method, operation) in operations(document, text(&tag["name"])) {
            html.raw("<li><a href=\"#").text(text(&operation["operationId"])).raw("\"><code>");
            html.text(method.to_uppercase()).raw(" ").text(path).raw("</code></a></li>");
        }
        html.raw("</ul></li>\n");
    }
    html.raw("<li><a href=\"#grpc\">gRPC</a></li><li><a href=\"#shapes\">Shapes</a></li></ul>\n");
}

fn group(html: &mut Html, document: &Value, tag: &Value) {
    let name = text(&tag["name"]);
    html.raw("<h2 id=\"").text(anchor(name)).raw("\">").text(name).raw("</h2>\n");
    paragraph(html, text(&tag["description"]));
    for (path, method, operation) in operations(document, name) {
        endpoint::endpoint(html, document, path, method, operation);
    }
}

/// The operations under a tag: path, method, description.
fn operations<'a>(document: &'a Value, tag: &'a str) -> Vec<(&'a str, &'static str, &'a Value)> {
    let has_tag = move |operation: &Value| list(&operation["tags"]).iter().any(|name| text(name) == tag);
    let of_path = |(path, item): (&'a String, &'a Value)| {
        METHODS.map(|method| (path.as_str(), method, &item[method])).into_iter()
    };
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(of_path).filter(|(_, _, operation)| has_tag(operation)).collect()
}

fn anchor(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn page_shows_and_escapes_parameters_bodies_and_answers() {
        let document = json!({
            "info": {"description": "About <all>."},
            "x-error-codes": [{"code": "held"}],
            "tags": [{"name": "Locks & more", "description": "Take\n`one`."}],
            "paths": {"/lock/{name}": {"post": {
                "tags": ["Locks & more"], "operationId": "take", "summary": "Take",
                "parameters": [{"name": "name", "in": "path", "required": true, "description": "Which.",
                                "schema": {"type": "string", "maxLength": 128}}],
                "requestBody": {"content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Ask"}, "example": {"a": "<b>"}}}},
                "responses": {"409": {"description": "`held`", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Problem"}}}}},
            }}},
            "components": {"schemas": {"Ask": {"properties": {"a": {"type": "string", "description": "It."}}}}},
        });
        let shown = docs_page(&document, &[]);
        for part in [
            "About &lt;all&gt;.",
            "<h2 id=\"locks---more\">Locks &amp; more</h2>",
            "Take <code>one</code>.",
            "POST",
            "/lock/{name}",
            "at most 128 characters",
            "&lt;b&gt;",
            "<pre class=\"copy\" tabindex=\"0\">curl -u :PASSWORD &quot;$URL/lock/NAME&quot; -d &#39;{&quot;a&quot;:&quot;&lt;b&gt;&quot;}&#39;</pre>",
            "<a href=\"/docs/errors#held\"><code>held</code></a>",
            "href=\"#shape-Ask\"",
            "id=\"shape-Ask\"",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
    }
}
