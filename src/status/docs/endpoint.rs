//! One endpoint: what it takes and what it answers.

use super::super::html::Html;
use super::parts::{inline, list, paragraph, text, with_error_links};
use super::schema::{link, type_and_bounds};
use super::{curl, sample};
use serde_json::Value;

pub fn endpoint(html: &mut Html, document: &Value, path: &str, method: &str, operation: &Value) {
    // The answers link to the rows of the error table.
    let codes = list(&document["x-error-codes"]);
    html.raw("<section class=\"endpoint\"><h3 id=\"").text(text(&operation["operationId"])).raw("\"><code>");
    html.text(method.to_uppercase()).raw(" ").text(path).raw("</code> <span class=\"quiet\">");
    html.text(text(&operation["summary"])).raw("</span></h3>\n");
    paragraph(html, text(&operation["description"]));
    credential(html, operation);
    html.raw("<pre class=\"copy\" tabindex=\"0\">").text(curl::line(path, method, operation)).raw("</pre>\n");
    parameters(html, list(&operation["parameters"]));
    body(html, &operation["requestBody"]);
    answers(html, &operation["responses"], codes);
    answered(html, document, &operation["responses"]);
    html.raw("</section>\n");
}

/// The credential of a request, where it differs from the rule.
fn credential(html: &mut Html, operation: &Value) {
    let Some(alternatives) = operation["security"].as_array() else {
        return;
    };
    let takes_session = |one: &Value| one.get("session").is_some();
    if alternatives.iter().any(takes_session) {
        html.raw("<p>Needs the session cookie.</p>\n");
    } else if alternatives.iter().all(|one| one.as_object().is_some_and(serde_json::Map::is_empty)) {
        html.raw("<p>Open to everybody.</p>\n");
    }
}

fn parameters(html: &mut Html, parameters: &[Value]) {
    if parameters.is_empty() {
        return;
    }
    html.raw("<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"Parameters\"><table class=\"rows\"><thead><tr>");
    html.raw("<th>Parameter</th><th>In</th><th>Value</th><th>Meaning</th></tr></thead><tbody>\n");
    for parameter in parameters {
        html.raw("<tr><td><code>").text(text(&parameter["name"])).raw("</code>");
        if parameter["required"] == true {
            html.raw(" <span class=\"quiet\">required</span>");
        }
        html.raw("</td><td>").text(text(&parameter["in"])).raw("</td><td>");
        type_and_bounds(html, &parameter["schema"]);
        html.raw("</td><td>");
        inline(html, text(&parameter["description"]));
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

fn body(html: &mut Html, body: &Value) {
    let contents = body["content"].as_object().into_iter().flatten();
    for (content_type, content) in contents {
        html.raw("<p>Body: <code>").text(content_type).raw("</code>, ");
        link(html, &content["schema"]);
        html.raw(if body["required"] == true { "." } else { "; may be left out." }).raw("</p>\n");
        if let Some(example) = content.get("example") {
            pretty(html, example);
        }
    }
}

/// The answer to a request that succeeds.
fn answered(html: &mut Html, document: &Value, responses: &Value) {
    let succeeds = |(status, _): &(&String, &Value)| status.starts_with('2');
    let first = responses.as_object().into_iter().flatten().find(succeeds);
    let Some((status, response)) = first else { return };
    let json = response["content"].get("application/json");
    if let Some(sample) = json.and_then(|content| sample::of_content(document, content)) {
        html.raw("<p>An answer, ").text(status).raw(":</p>");
        pretty(html, &sample);
    }
}

fn pretty(html: &mut Html, body: &Value) {
    html.raw("<pre tabindex=\"0\">");
    for line in format!("{body:#}").lines() {
        html.text(line).raw("\n");
    }
    html.raw("</pre>\n");
}

fn answers(html: &mut Html, responses: &Value, codes: &[Value]) {
    html.raw(
        "<div class=\"frame\" role=\"region\" tabindex=\"0\" aria-label=\"Answers\"><table class=\"rows\"><thead><tr>",
    );
    html.raw("<th>Status</th><th>Meaning</th><th>Body</th></tr></thead><tbody>\n");
    for (status, response) in responses.as_object().into_iter().flatten() {
        html.raw("<tr><td>").text(status).raw("</td><td>");
        with_error_links(html, text(&response["description"]), codes);
        html.raw("</td><td>");
        answer_bodies(html, response);
        html.raw("</td></tr>\n");
    }
    html.raw("</tbody></table></div>\n");
}

fn answer_bodies(html: &mut Html, response: &Value) {
    for (at, (content_type, content)) in response["content"].as_object().into_iter().flatten().enumerate() {
        if at > 0 {
            html.raw("<br>");
        }
        let schema = &content["schema"];
        if schema.get("$ref").is_some() || schema.get("anyOf").is_some() {
            link(html, schema);
        } else {
            html.raw("<code>").text(content_type).raw("</code>");
        }
    }
}
