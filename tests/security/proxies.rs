//! Behind a proxy nobody is on this machine.

use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// Whether this caller may end the hold of another, which takes an admin.
fn may_force(server: &Server, headers: &[(&str, &str)]) -> bool {
    let mut caller =
        headers.iter().fold(Client::plain(server), |client, (name, value)| client.with_header(name, value));
    let answer = caller.delete("/v1/locks/none/holds/00000000-0000-0000-0000-000000000000?reason=test");
    assert!(matches!(answer.status, 403 | 404), "{}", answer.text());
    answer.status == 404
}

#[test]
fn anonymous_callers_are_admins_only_without_any_proxy() {
    let server = Spec::in_memory().start();
    assert!(may_force(&server, &[]));
    for header in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto"] {
        let value = if header == "Forwarded" { "for=127.0.0.1" } else { "127.0.0.1" };
        assert!(!may_force(&server, &[(header, value)]), "{header}");
    }
}

#[test]
fn anonymous_callers_through_a_trusted_proxy_are_no_admins() {
    let server =
        Spec::in_memory().configuration("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n").argument("--allow-anonymous");
    let server = server.start();
    assert!(!may_force(&server, &[]), "the proxy itself");
    assert!(!may_force(&server, &[("X-Forwarded-For", "127.0.0.1")]));
    assert_eq!(Client::plain(&server).send("POST", "/session", b"").status, 201, "but they may use locks");
}

#[test]
fn trusted_proxies_without_a_credential_are_refused_at_start() {
    let spec = Spec::in_memory().configuration("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n");
    let Err(output) = spec.try_start() else { panic!("it started") };
    assert!(output.contains("server.trusted_proxies") && output.contains("--allow-anonymous"), "{output}");
    drop(spec.api_key("a key of the tests").start());
}
