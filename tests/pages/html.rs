//! The console as a browser gets it.

use super::{lock, with_session};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::spec::Spec;
use serde_json::json;

/// The `Accept` header of Chromium.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

fn assert_protected(page: &Response) {
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn browser_gets_the_page_and_others_json() {
    let server = Spec::in_memory().start();
    let mut browser = Client::plain(&server).with_header("Accept", BROWSER);
    for target in ["/", "/status"] {
        let page = browser.get(target);
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_protected(&page);
        assert!(page.text().contains("Nothing is locked"));
    }
    assert_eq!(browser.get("/status").header("vary"), Some("Accept"));
    let mut plain = Client::plain(&server).with_header("Accept", "*/*");
    assert_eq!(plain.get("/status").header("content-type"), Some("application/json"));
    assert_eq!(plain.get("/").header("content-type"), Some("text/html; charset=utf-8"));
    let (page, other) = (browser.get("/ui/none"), plain.get("/ui/none"));
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("there is nothing at /ui/none"), "{}", page.text());
    assert_protected(&page);
    assert_eq!((other.status, other.header("content-type")), (404, Some("application/problem+json")));
}

#[test]
fn page_loads_only_our_own_files() {
    let server = Spec::in_memory().api_key("secret").start();
    let mut browser = Client::plain(&server);
    for (target, content_type) in [
        ("/ui/console.css", "text/css; charset=utf-8"),
        ("/ui/console.js", "text/javascript; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let file = browser.get(target);
        assert_eq!((file.status, file.header("content-type")), (200, Some(content_type)), "{target}");
        assert!(!file.text().contains("//cdn") && !file.text().contains("https://"), "{target}");
    }
}

#[test]
fn calls_that_empty_pages_name_exist() {
    let server = Spec::in_memory().start();
    let mut browser = Client::plain(&server).with_header("Accept", BROWSER);
    let document = browser.get("/openapi.json").json();
    let mut named = Vec::new();
    for target in ["/ui/elections", "/ui/sessions", "/ui/events"] {
        let page = browser.get(target).text();
        for code in page.split("<code>").skip(1).filter_map(|rest| rest.split("</code>").next()) {
            let Some((method, path)) = code.split_once(" /") else { continue };
            assert!(document["paths"][format!("/{path}")][method.to_lowercase()].is_object(), "{target}: {code}");
            named.push(target);
        }
    }
    assert_eq!(named, ["/ui/elections", "/ui/sessions", "/ui/events"]);
}

#[test]
fn names_from_clients_are_escaped() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    let hostile = "<script>alert('x')</script>";
    let asked = json!({"name": hostile, "metadata": {"<img src=x onerror=y>": "\"><b>"}});
    client.post("/v1/lock", &asked);
    let mut browser = Client::plain(&server).with_header("Accept", BROWSER);
    for target in ["/", "/status?prefix=%3Cscript%3E"] {
        let page = browser.get(target).text();
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{page}");
        assert!(!page.contains("<script>alert") && !page.contains("<img") && !page.contains("<b>"), "{page}");
    }
}

#[test]
fn browser_without_a_credential_is_asked_to_log_in() {
    let server = Spec::in_memory().password("open sesame").start();
    let mut stranger = Client::plain(&server).with_header("Accept", BROWSER);
    for target in ["/", "/status"] {
        let page = stranger.get(target);
        assert_eq!(page.status, 401);
        assert_eq!(
            page.header("www-authenticate"),
            Some("Bearer realm=\"latchd\""),
            "no dialogue of the browser's own"
        );
        assert!(page.text().contains("<form class=\"card\" method=\"post\" action=\"/ui/login\">"), "{}", page.text());
        assert_protected(&page);
    }
    let wrong = Client::plain(&server).with_header("Authorization", "Basic Ondyb25n").get("/");
    assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, Some("Basic realm=\"Restricted\"")));
    // Basic of `anybody:open sesame`.
    let known = "Basic YW55Ym9keTpvcGVuIHNlc2FtZQ==";
    let mut friend = Client::plain(&server).with_header("Accept", BROWSER).with_header("Authorization", known);
    assert_eq!(friend.get("/status").status, 200);
    assert_eq!(stranger.get("/status?auth=open+sesame").status, 200);
}

#[test]
fn page_shows_no_keys_session_ids_or_credentials() {
    let server = Spec::in_memory().api_key("secret-key").start();
    let mut client = with_session(Client::plain(&server).with_header("X-API-Key", "secret-key"));
    let key = lock(&mut client, "job");
    let id = client.cookie("ldlm-session").expect("a session").to_owned();
    let page = client.get("/").text();
    assert!(page.contains("job"));
    for secret in [key.as_str(), &key.replace('-', ""), &id, "secret-key"] {
        assert!(!page.contains(secret), "{secret} is on the page");
    }
}

#[test]
fn search_by_prefix_works_without_a_script() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    lock(&mut client, "build/1");
    lock(&mut client, "deploy");
    let mut browser = Client::plain(&server).with_header("Accept", BROWSER);
    let page = browser.get("/status?prefix=build%2F").text();
    assert!(page.contains("build/1") && !page.contains("deploy"));
    assert!(page.contains("value=\"build/\""));
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\""));
    assert!(browser.get("/status?prefix=none").text().contains("No lock that you may see starts with"));
}
