//! Unknown paths and methods of our own API.

use super::problem;
use crate::support::client::Client;
use crate::support::spec::Spec;

#[test]
fn unknown_path_is_a_problem() {
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    for target in ["/nothing", "/v1/", "/v1/locks/a/holds", "/v2/locks", "/docs/", "/metrics/x"] {
        problem(&client.get(target), 404, "not-found");
    }
}

#[test]
fn wrong_method_is_a_problem_with_allow() {
    let server = Spec::in_memory().start();
    let mut client = Client::plain(&server);
    for (method, target, allowed) in [
        ("POST", "/v1/locks", "GET,HEAD"),
        ("DELETE", "/v1/locks/a", "GET,HEAD"),
        ("GET", "/v1/locks/a/holds/b", "DELETE"),
        ("PUT", "/v1/sessions", "GET,HEAD"),
        ("POST", "/", "GET,HEAD"),
        ("POST", "/docs", "GET,HEAD"),
        ("DELETE", "/openapi.json", "GET,HEAD"),
        ("POST", "/metrics", "GET,HEAD"),
        ("POST", "/livez", "GET,HEAD"),
        ("POST", "/readyz", "GET,HEAD"),
    ] {
        let answer = client.send(method, target, b"");
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {target}");
    }
}
