//! The console in headless Chromium: what a person sees and does, that it stays fresh by itself, and that everybody can
//! read it.

use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::tools::NODE;
use super::webdriver::Browser;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

const PASSWORD: &str = "for-the-browser";
/// `:for-the-browser` in base64, for our own clients.
const BASIC: &str = "Basic OmZvci10aGUtYnJvd3Nlcg==";

/// Writes the pictures of `docs/` anew.
const PICTURES: &str = "REFRESH_PICTURES";

fn session(server: &Server) -> Client {
    let mut client = Client::tls(server).with_header("Authorization", BASIC);
    assert_eq!(client.send("POST", "/session", b"").status, 201);
    client
}

fn lock(client: &mut Client, body: &Value) -> Value {
    let answer = client.post("/v1/lock", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn token_of(client: &mut Client, name: &str) -> u64 {
    let shown = client.get(&format!("/v1/locks?name={name}")).json();
    shown["locks"][0]["holders"][0]["fencing_token"].as_u64().expect("a token")
}

/// One person with a browser at one server.
struct Person<'a> {
    browser: &'a Browser,
    origin: String,
}

impl Person<'_> {
    fn open(&self, page: &str) {
        self.browser.open(&format!("https://{}{page}", self.origin));
    }

    fn log_in(&self) {
        self.open("/");
        self.browser.wait_for_text("Password or API key");
        self.browser.fill("#secret", PASSWORD);
        self.browser.click("button.main");
        self.browser.wait_for_text("Log out");
        // It tells of the answer that asked for the login.
        self.browser.complaints();
    }

    /// Follows the link of an act, gives a reason and confirms.
    fn act(&self, page: &str, link: &str, names: &str, reason: &str, says: &str) {
        self.open(page);
        self.browser.click(&format!("a.act[href*='{link}']"));
        let asked = self.browser.wait_for_text("Reason, for the log and for others");
        assert!(asked.contains(names), "{asked}");
        self.is_readable_for_all();
        self.browser.fill("#reason", reason);
        self.browser.click("button.main");
        self.browser.wait_for_text(says);
    }

    /// axe-core finds nothing serious, and nothing stands beyond the edge of a telephone.
    fn is_readable_for_all(&self) {
        let axe = PathBuf::from(NODE).join("node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(&axe).unwrap_or_else(|_| panic!("no {}: run `make tools`", axe.display()));
        for (width, scheme) in [(1280, "light"), (360, "dark")] {
            self.browser.resize(width, 800);
            self.browser.prefer(scheme);
            let wider =
                self.browser.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
            assert_eq!(wider, 0, "{} at {width} pixels", self.browser.evaluate("location.pathname"));
            let found = self.browser.run(&format!(
                "{axe}; const done = arguments[arguments.length - 1]; axe.run(document).then(result => done(result.violations
                     .filter(one => ['serious', 'critical'].includes(one.impact))
                     .map(one => one.id + ': ' + one.nodes.map(node => node.html + ' ' + node.failureSummary).join('; '))));"
            ));
            let page = self.browser.evaluate("location.pathname");
            assert_eq!(found, json!([]), "{page} at {width} pixels, {scheme}");
        }
        self.browser.resize(1280, 800);
    }

    fn keep_picture(&self, name: &str, page: &str, scheme: &str, height: u32) {
        if std::env::var_os(PICTURES).is_none() {
            return;
        }
        self.open(page);
        self.browser.resize(1200, height);
        self.browser.prefer(scheme);
        self.browser.wait_for_text("Live:");
        let file = format!("{}/docs/images/{name}.png", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(&file, self.browser.picture()).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

/// A server with a lock that is waited for, by somebody who is in the way of another.
fn busy(server: &Server) -> (Client, Client) {
    let (mut robot, mut alice) = (session(server), session(server));
    let metadata = json!({"who": "release-robot", "run": "4711"});
    let deploy = json!({"name": "deploy/production", "lock_timeout_seconds": 1800, "metadata": metadata});
    lock(&mut robot, &deploy);
    let metadata = json!({"who": "alice", "ticket": "OPS-2231"});
    lock(&mut alice, &json!({"name": "db/migrations", "lock_timeout_seconds": 900, "metadata": metadata}));
    for (name, host) in [("backup/nightly", "bk-3"), ("report/monthly", "batch-1"), ("cache/warm-up", "web-2")] {
        lock(&mut alice, &json!({"name": name, "lock_timeout_seconds": 420, "metadata": {"host": host}}));
    }
    let wait = json!({"name": "db/migrations", "wait_timeout_seconds": 120, "metadata": {"who": "release-robot"}});
    let cookie = robot.cookie("ldlm-session").expect("a session").to_owned();
    let mut same = Client::tls(server).with_header("Authorization", BASIC);
    same.set_cookie("ldlm-session", &cookie);
    std::thread::spawn(move || drop(same.try_send("POST", "/v1/lock", wait.to_string().as_bytes())));
    for who in ["bob", "carol"] {
        let mut waiter = session(server);
        let wait = json!({"name": "deploy/production", "wait_timeout_seconds": 120, "metadata": {"who": who}});
        std::thread::spawn(move || drop(waiter.try_send("POST", "/v1/lock", wait.to_string().as_bytes())));
    }
    let mut watcher = session(server);
    wait_until(|| watcher.get("/v1/locks?name=deploy/production").json()["locks"][0]["queue_length"] == 2);
    wait_until(|| watcher.get("/v1/locks?name=db/migrations").json()["locks"][0]["queue_length"] == 1);
    let freeze = json!({"reason": "the books are closed, FIN-88", "for_seconds": 7200, "match": "prefix"}).to_string();
    assert_eq!(robot.send("PUT", "/v1/freezes?target=report/", freeze.as_bytes()).status, 200);
    (robot, alice)
}

#[test]
fn person_sees_what_is_stuck_and_ends_it_by_hand() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let (mut robot, _alice) = busy(&server);
    let hostile = "<img src=x onerror=alert(1)>\"'</script><script>alert(2)</script>";
    let browser = Browser::start();
    let person = Person { browser: &browser, origin: format!("localhost:{}", server.https().port()) };
    person.open("/");
    person.is_readable_for_all();
    person.log_in();
    person.keep_picture("console-locks", "/", "light", 900);
    person.keep_picture("console-lock", "/ui/lock?name=deploy%2Fproduction", "light", 860);
    person.keep_picture("console-freezes", "/ui/freezes", "light", 480);
    person.keep_picture("console-dark", "/ui/events", "dark", 660);
    lock(&mut robot, &json!({"name": hostile, "lock_timeout_seconds": 600, "metadata": {hostile: hostile}}));
    for page in [
        "/",
        "/?sort=waiting",
        "/ui/lock?name=deploy%2Fproduction",
        "/ui/contention",
        "/ui/freezes",
        "/ui/elections",
        "/ui/sessions",
        "/ui/events",
        "/ui/cluster",
        "/ui/rights",
    ] {
        person.open(page);
        person.is_readable_for_all();
    }
    person.open("/ui/lock?name=deploy%2Fproduction");
    let text = browser.wait_for_text("Who is in the way of whom");
    assert!(
        text.contains("waits for db/migrations") && text.contains("bob") && text.contains("release-robot"),
        "{text}"
    );
    let deploy = "/ui/lock?name=deploy%2Fproduction";
    person.act(deploy, "drop-waiter", "place 1", "bob went home", "The waiter was dropped");
    let token = token_of(&mut robot, "deploy/production").to_string();
    person.act(deploy, "force-release", &token, hostile, "was ended. A waiter holds the lock now.");
    person.open("/ui/lock?name=report%2Fmonthly");
    browser.click("td a.handle");
    browser.wait_for_text("End this session");
    let here = browser.evaluate("location.pathname + location.search");
    let here = here.as_str().expect("an address");
    person.act(here, "end-session", "4 holds", "the host is gone", "No such session");
    person.act("/ui/lock?name=by%20hand", "act/take", "by hand", hostile, "You hold the lock now");
    person.act("/ui/lock?name=by%20hand", "give-back", "You give back", "done", "You gave the lock back");

    freeze_and_thaw(&person, deploy, hostile);

    // Refused, because the lock was taken meanwhile.
    person.open("/ui/act/take?name=taken");
    lock(&mut robot, &json!({"name": "taken", "lock_timeout_seconds": 600}));
    browser.fill("#reason", "too late");
    browser.click("button.main");
    browser.wait_for_text("The lock is held");
    browser.complaints();

    person.open("/?has=%3Cimg");
    let text = browser.wait_for_text("onerror");
    assert!(text.contains(hostile), "{text}");
    check_privacy(&browser, &person.origin, &[PASSWORD]);
    browser.click(".who button");
    browser.wait_for_text("Password or API key");
    person.open("/ui/events");
    browser.wait_for_text("log in with a password or an API key");
}

/// Names under a prefix are frozen, which the page of a lock tells; and thawed.
fn freeze_and_thaw(person: &Person<'_>, deploy: &str, hostile: &str) {
    person.open("/ui/freezes?name=deploy%2F");
    person.browser.evaluate("document.querySelector('select[name=match]').value = 'prefix'");
    let reason = format!("{hostile} {}", "x".repeat(150));
    person.browser.fill("input[name=reason]", &reason);
    person.browser.click("form.search button");
    let asked = person.browser.wait_for_text("Reason, for the log and for others");
    assert!(asked.contains("all that start with deploy/") && asked.contains("deploy/production"), "{asked}");
    person.is_readable_for_all();
    person.browser.click("button.main");
    person.browser.wait_for_text("It is frozen");
    person.is_readable_for_all();
    person.open(deploy);
    let text = person.browser.wait_for_text("All freezes");
    assert!(text.contains(&reason), "{text}");
    person.is_readable_for_all();
    person.open("/ui/act/freeze?match=prefix&name=deploy%2F&holds=drain&for=900");
    assert!(person.browser.wait_for_text("takes the place").contains(&reason));
    person.is_readable_for_all();
    person.act("/ui/freezes", "act/thaw", "deploy/", "done", "It is thawed");
}

#[test]
fn page_shows_changes_before_its_next_poll() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let mut holder = session(&server);
    let browser = Browser::start();
    let person = Person { browser: &browser, origin: format!("localhost:{}", server.https().port()) };
    person.log_in();
    browser.wait_for_text("Live:");
    // From here on the page looks again only when it is told of something, and nothing reloads it.
    browser.evaluate(
        "(window.looks = 0, window.setTimeout = (later => (work, ms) => ms < 1000 ? later(work, ms) : ++looks)(setTimeout))",
    );
    wait_until(|| browser.evaluate("looks").as_u64() > Some(0));
    let held = lock(&mut holder, &json!({"name": "told/of <b>", "lock_timeout_seconds": 600}));
    browser.wait_for_text("told/of <b>");
    holder.send("DELETE", "/session", b"");
    browser.wait_for_text("Nothing is locked");
    check_privacy(&browser, &person.origin, &[PASSWORD, held["key"].as_str().expect("a key")]);
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
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
    let hosts = "performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)";
    let loaded = browser.evaluate(hosts);
    for host in loaded.as_array().expect("a list") {
        assert_eq!(host, origin, "something was loaded from elsewhere");
    }
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}
