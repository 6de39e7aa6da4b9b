//! `curl` with its cookie jar against the started binary, over HTTPS: the way that the README's tour goes.

use serde_json::Value;

use super::tools::{program, run};
use crate::support::certificate::pair;
use crate::support::process::Server;
use crate::support::spec::Spec;

/// curl with one cookie jar, a credential, and trust in the tests' certificate.
struct Curl<'a> {
    server: &'a Server,
    jar: tempfile::NamedTempFile,
}

impl<'a> Curl<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, jar: tempfile::NamedTempFile::new().expect("a temporary file can be made") }
    }

    /// The status and the body of one call.
    fn call(&self, arguments: &[&str], target: &str) -> (u16, String) {
        let mut command = program("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", "--user", "anyone:pass word:with colon"]);
        command.args(["--write-out", "\n%{http_code}", "--cacert"]).arg(&pair().certificate);
        command.arg("--cookie").arg(self.jar.path()).arg("--cookie-jar").arg(self.jar.path());
        command.args(arguments).arg(format!("https://localhost:{}{target}", self.server.https().port()));
        let output = run(&mut command);
        let (body, status) = output.rsplit_once('\n').expect("curl writes the status last");
        (status.parse().expect("a status is a number"), body.to_owned())
    }

    fn json(&self, arguments: &[&str], target: &str) -> Value {
        let (status, body) = self.call(arguments, target);
        assert_eq!(status, 200, "{target}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{target}: {error}: {body}"))
    }
}

#[test]
fn cookie_jar_carries_the_session() {
    let server = Spec::in_memory().password("pass word:with colon").start();
    let (one, other) = (Curl::new(&server), Curl::new(&server));
    assert_eq!(one.call(&["-X", "POST"], "/session").0, 201);
    assert_eq!(other.call(&["-X", "POST"], "/session").0, 201);
    let jar = std::fs::read_to_string(one.jar.path()).expect("the jar can be read");
    let cookie = jar.lines().find(|line| line.contains("ldlm-session")).expect("curl keeps the cookie");
    assert!(cookie.starts_with("#HttpOnly_"), "{cookie}");
    assert_eq!(cookie.split('\t').nth(3), Some("TRUE"), "secure: {cookie}");
    assert_eq!(cookie.split('\t').nth(4), Some("0"), "a jar that is only read keeps it: {cookie}");

    let lock = ["-d", r#"{"name":"tour","lock_timeout_seconds":60}"#];
    let held = one.json(&lock, "/v1/lock");
    assert_eq!(held["locked"], true);
    assert!(held["fencing_token"].is_u64(), "{held}");
    assert_eq!(other.json(&lock, "/v1/lock")["locked"], false);
    let key = held["key"].as_str().expect("a key");
    let with_key = format!(r#"{{"name":"tour","key":"{key}","lock_timeout_seconds":120}}"#);
    assert_eq!(one.json(&["-d", &with_key], "/v1/renew")["locked"], true);
    let to_unlock = format!(r#"{{"name":"tour","key":"{key}"}}"#);
    assert_eq!(one.json(&["-d", &to_unlock], "/v1/unlock")["unlocked"], true);
    let next = other.json(&lock, "/v1/lock");
    assert_eq!(next["locked"], true);
    assert!(next["fencing_token"].as_u64() > held["fencing_token"].as_u64(), "{held} then {next}");

    assert_eq!(other.call(&["-X", "DELETE"], "/session").0, 200);
    assert_eq!(one.json(&lock, "/v1/lock")["locked"], true, "the end of a session frees its locks");
    assert_eq!(other.call(&["-d", "{}"], "/v1/lock").0, 401, "the session is gone");
}

#[test]
fn wrong_password_is_refused() {
    let server = Spec::in_memory().password("right").start();
    let curl = Curl::new(&server);
    let (status, _) = curl.call(&["-X", "POST"], "/session");
    assert_eq!(status, 401);
}

#[test]
fn get_lock_and_lock_by_name_work_from_the_shell() {
    let server = Spec::in_memory().password("pass word:with colon").start();
    let curl = Curl::new(&server);
    let taken = curl.json(&[], "/getlock?lockname=job%201&lifetime=30");
    assert_eq!((&taken["lockacquired"], &taken["lockname"]), (&true.into(), &"job 1".into()), "{taken}");
    let token = taken["sessiontoken"].as_str().expect("a token");
    assert_eq!(curl.json(&[], "/getlock?lockname=job%201")["lockacquired"], false);
    let released = curl.json(&["-X", "DELETE"], &format!("/releaselock?lockname=job%201&token={token}"));
    assert_eq!(released["lockreleased"], true);

    assert_eq!(curl.call(&["-X", "POST"], "/lock/by-name"), (200, "{}\n".to_owned()));
    assert_eq!(curl.call(&["-X", "POST"], "/lock/by-name"), (409, "{\"error\":\"Lock conflict\"}\n".to_owned()));
    assert_eq!(curl.call(&["-X", "DELETE"], "/lock/by-name"), (200, "{}\n".to_owned()));
    assert_eq!(curl.call(&[], "/lock/by-name").0, 404);

    let json = ["-H", "Content-Type: application/json", "-d", r#"{"resource":"r","ttl":30}"#];
    let lock_id = curl.json(&json, "/lock")["lock_id"].as_str().expect("a lock_id").to_owned();
    assert_eq!(curl.call(&json, "/lock").0, 409);
    let back = format!(r#"{{"lock_id":"{lock_id}"}}"#);
    assert_eq!(curl.call(&["-H", "Content-Type: application/json", "-d", &back], "/unlock").0, 200);
    assert_eq!(curl.call(&["-H", "Content-Type: application/json", "-d", &back], "/unlock").0, 404);
}
