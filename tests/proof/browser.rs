//! The status page in headless Chromium: what a person sees, and that it stays fresh by itself.

use serde_json::json;
use std::time::{Duration, Instant};

use super::webdriver::Browser;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

const PASSWORD: &str = "for-the-browser";
/// `:for-the-browser` in base64, for our own clients.
const BASIC: &str = "Basic OmZvci10aGUtYnJvd3Nlcg==";

fn session(server: &Server) -> Client {
    let mut client = Client::tls(server).with_header("Authorization", BASIC);
    assert_eq!(client.send("POST", "/session", b"").status, 201);
    client
}

fn lock(client: &mut Client, body: &serde_json::Value) -> serde_json::Value {
    let answer = client.post("/v1/lock", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn status_page_shows_locks_holders_waiters_and_refreshes() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let mut holder = session(&server);
    let request =
        json!({"name": "deploy/production", "lock_timeout_seconds": 600, "metadata": {"who": "release-robot"}});
    let held = lock(&mut holder, &request);
    assert_eq!(held["locked"], true);
    let waiting = session(&server);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            let mut client = waiting;
            lock(
                &mut client,
                &json!({"name": "deploy/production", "wait_timeout_seconds": 30, "lock_timeout_seconds": 60}),
            )
        });
        let browser = Browser::start();
        let origin = format!("localhost:{}", server.https().port());
        browser.open(&format!("https://anyone:{PASSWORD}@{origin}/status"));
        let text = browser.wait_for_text("deploy/production");
        assert!(text.contains("release-robot"), "the holder's metadata is shown:\n{text}");
        browser.wait_for_text("waiting\n1\n");

        // Nothing reloads the page from here on, or the mark would be lost.
        browser.evaluate("(window.mark = 'still here')");
        assert_eq!(
            lock(&mut holder, &json!({"name": "a <b>second</b> lock", "lock_timeout_seconds": 600}))["locked"],
            true
        );
        browser.wait_for_text("a <b>second</b> lock");
        assert_eq!(browser.evaluate("window.mark"), "still here");

        let key = held["key"].as_str().expect("a key");
        let released = holder.post("/v1/unlock", &json!({"name": "deploy/production", "key": key}));
        assert_eq!(released.json()["unlocked"], true);
        let granted = waiter.join().expect("the waiter is answered");
        assert_eq!(granted["locked"], true);
        check_privacy(&browser, &origin, &[key, granted["key"].as_str().expect("a key"), PASSWORD]);
    });
}

#[test]
fn status_page_shows_changes_before_its_next_poll() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let mut holder = session(&server);
    let browser = Browser::start();
    let origin = format!("localhost:{}", server.https().port());
    browser.open(&format!("https://anyone:{PASSWORD}@{origin}/status"));
    browser.wait_for_text("Live:");
    // From here on the page looks again only when it is told of something.
    browser.evaluate(
        "(window.looks = 0, window.setTimeout = (later => (work, ms) => ms < 1000 ? later(work, ms) : ++looks)(setTimeout))",
    );
    wait_until(|| browser.evaluate("looks").as_u64() > Some(0));
    lock(&mut holder, &json!({"name": "told/of", "lock_timeout_seconds": 600}));
    browser.wait_for_text("told/of");
    holder.send("DELETE", "/session", b"");
    browser.wait_for_text("Nothing is locked");
    check_privacy(&browser, &origin, &[PASSWORD]);
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Secrets are nowhere in the page, nothing came from another host, and the browser had nothing to complain about.
fn check_privacy(browser: &Browser, origin: &str, secrets: &[&str]) {
    let source = browser.source();
    for secret in secrets {
        assert!(!source.contains(secret), "{secret} is in the page:\n{source}");
    }
    // The host alone: the addresses themselves carry the password that this test put into the address bar.
    let hosts = "performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)";
    let loaded = browser.evaluate(hosts);
    for host in loaded.as_array().expect("a list") {
        assert_eq!(host, origin, "something was loaded from elsewhere");
    }
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}
