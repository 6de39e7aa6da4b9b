//! What is asked about the service itself: probes, metrics, documents, pages.

use crate::http::code::Code;
use crate::http::code_groups::CREDENTIAL;
use crate::http::endpoint::{Bounds, Chapter, Documentation, Endpoint, PROBLEM, get, json, object, text};
use utoipa::openapi::{ComponentsBuilder, Response};

pub const DOCUMENTATION: Documentation =
    Documentation { chapter: Chapter::Service, tag: TAG, about: ABOUT, endpoints, schemas };

const TAG: &str = "The service";
const ABOUT: &str = "Probes, metrics, documents and the page for people.";

fn endpoints(_: Bounds) -> Vec<Endpoint> {
    let plain = "text/plain; charset=utf-8";
    let html = "text/html; charset=utf-8";
    vec![
        get("/livez", "live", TAG, "Ask whether the process lives")
            .without_credential()
            .answer(200, text("It does.", plain))
            .answer(431, header_too_large()),
        get("/readyz", "ready", TAG, "Ask whether the service takes requests")
            .without_credential()
            .answer(200, text("It does.", plain))
            .answer(431, header_too_large())
            .answer(503, text("It starts, stops, or has no leader; the text says which.", plain)),
        get("/metrics", "metrics", TAG, "Read the metrics")
            .about(
                "Needs a credential where one is configured, of any role and without prefixes: the numbers are of all names.",
            )
            .answer(
                200,
                text(
                    "Metrics in the text format of Prometheus.",
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                ),
            )
            .errors(PROBLEM, &[&CREDENTIAL, &[Code::Forbidden]]),
        get("/openapi.json", "openapi", TAG, "Read this document")
            .without_credential()
            .answer(200, json("This document.", "Document"))
            .answer(431, header_too_large()),
        get("/docs", "docs", TAG, "Read this document as a page")
            .without_credential()
            .answer(200, text("The page.", html))
            .answer(431, header_too_large()),
        get("/docs/errors", "errors", TAG, "Read about every error")
            .about("The `type` of a problem document points here.")
            .without_credential()
            .answer(200, text("The page.", html))
            .answer(431, header_too_large()),
        get("/", "page", TAG, "Look at the locks")
            .about("The status page, as `/status` shows it to browsers.")
            .answer(200, text("The page.", html))
            .answer(401, text("No credential, or a wrong one.", html))
            .answer(429, text("Too many failed attempts.", html))
            .answer(503, text("The state cannot be read now; the page says why and tries again.", html)),
    ]
}

/// What any request may be told, and those that have no other fault to be told of.
fn header_too_large() -> Response {
    Response::new("The header section is larger than `server.header_bytes_max`.")
}

fn schemas(components: ComponentsBuilder, _: Bounds) -> ComponentsBuilder {
    components.schema("Document", object("An OpenAPI 3.1 document."))
}
