//! A headless Chromium, driven through ChromeDriver (the W3C WebDriver protocol: JSON over HTTP).

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::tools::program;
use crate::support::http::Connection;

/// Without these a browser run as root does not start, or looks for hosts outside.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// How long a page may take to show what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// One browser with one page; both it and its driver end when it is dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser that accepts the tests' self-signed certificate.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let (driver, address) = start_driver();
        let mut browser = Self { driver, address, session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([folder.as_str()]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": flags},
        }}});
        let made = browser.ask("POST", "/session", &wanted);
        browser.session = made["sessionId"].as_str().expect("a session has an id").to_owned();
        browser
    }

    /// Loads a page.
    pub fn open(&self, url: &str) {
        self.command("POST", "url", &json!({"url": url}));
    }

    /// The value of a JavaScript expression in the page.
    pub fn evaluate(&self, expression: &str) -> Value {
        self.command("POST", "execute/sync", &json!({"script": format!("return {expression};"), "args": []}))
    }

    /// What a script gives to its last argument.
    pub fn run(&self, script: &str) -> Value {
        self.command("POST", "execute/async", &json!({"script": script, "args": []}))
    }

    /// Fills in a field, as a person would.
    pub fn fill(&self, selector: &str, text: &str) {
        let field = self.element(selector);
        self.command("POST", &format!("element/{field}/clear"), &json!({}));
        self.command("POST", &format!("element/{field}/value"), &json!({"text": text}));
    }

    /// Clicks on the first element that a CSS selector finds, at once: a page may exchange its elements at any time.
    pub fn click(&self, selector: &str) {
        self.evaluate(&format!("document.querySelector({}).click()", json!(selector)));
    }

    fn element(&self, selector: &str) -> String {
        let found = self.command("POST", "element", &json!({"using": "css selector", "value": selector}));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        id.expect("an element has an id").to_owned()
    }

    /// Makes the page so wide and so high; narrower than a window of its own can be.
    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Has pages see a dark or a light system.
    pub fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// A picture of the page as PNG.
    pub fn picture(&self) -> Vec<u8> {
        let shot = self.command("GET", "screenshot", &Value::Null);
        BASE64_STANDARD.decode(shot.as_str().expect("a picture")).expect("base64")
    }

    fn devtools(&self, method: &str, parameters: &Value) {
        self.command("POST", "goog/cdp/execute", &json!({"cmd": method, "params": parameters}));
    }

    /// The text that a person sees.
    pub fn text(&self) -> String {
        self.evaluate("document.body.innerText").as_str().expect("a page has text").to_owned()
    }

    /// The document as it is now.
    pub fn source(&self) -> String {
        self.evaluate("document.documentElement.outerHTML").as_str().expect("a page has a source").to_owned()
    }

    /// Waits until the page shows a text, and returns the whole.
    pub fn wait_for_text(&self, what: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if text.contains(what) {
                return text;
            }
            assert!(Instant::now() < deadline, "the page never showed {what:?}:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What the browser complained about: failed loads, violations of the content security policy, script errors.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.command("POST", "se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a log is a list").iter();
        entries.filter(|entry| entry["level"] == "SEVERE").map(|entry| entry["message"].to_string()).collect()
    }

    fn command(&self, method: &str, what: &str, body: &Value) -> Value {
        self.ask(method, &format!("/session/{}/{what}", self.session), body)
    }

    fn ask(&self, method: &str, target: &str, body: &Value) -> Value {
        let mut connection = Connection::plain(self.address).expect("ChromeDriver listens");
        let headers = [("Content-Type", "application/json"), ("Connection", "close")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = connection.request(method, target, &headers, body.as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("ChromeDriver on {target}: {error}"));
        assert_eq!(answer.status, 200, "ChromeDriver on {target}: {}", answer.text());
        answer.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its session ends the browser; without one there is none to end.
        if !self.session.is_empty() && !std::thread::panicking() {
            self.ask("DELETE", &format!("/session/{}", self.session), &json!({}));
        } else if let Ok(mut connection) = Connection::plain(self.address) {
            let _ = connection.request("DELETE", &format!("/session/{}", self.session), &[], b"");
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts ChromeDriver on a free port of its own choice. It looks for one of IPv4 first, which may be taken on IPv6.
fn start_driver() -> (Child, SocketAddr) {
    (0..10).find_map(|_| try_driver()).expect("chromedriver names its port")
}

fn try_driver() -> Option<(Child, SocketAddr)> {
    let mut child =
        program("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn().expect("chromedriver starts");
    let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
    let port = stdout.lines().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        // It has given up.
        let _ = child.kill();
        let _ = child.wait();
        return None;
    };
    Some((child, SocketAddr::from(([127, 0, 0, 1], port))))
}
