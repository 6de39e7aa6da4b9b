//! Identity tokens of a real issuer on this machine, against the started binary.

use super::tools::{NODE, python};
use crate::support::client::Client;
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::redis::{RedisClient, Reply};
use crate::support::spec::Spec;
use crate::support::sse::Events;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "key-of-an-operator";
/// Nobody listens there.
const ABSENT: &str = "http://127.0.0.1:1";

/// The issuer, as a process of Node.js.
struct Issuer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    url: String,
    _folder: tempfile::TempDir,
}

impl Issuer {
    fn start() -> Issuer {
        // Beside the installed packages, where they are found.
        let folder = tempfile::tempdir_in(NODE).expect("a temporary directory can be made");
        let script = folder.path().join("oidc_issuer.mjs");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/node/oidc_issuer.mjs");
        std::fs::copy(source, &script).expect("it can be copied");
        let mut command = python("node");
        let mut process =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node can be started");
        let input = process.stdin.take().expect("its stdin");
        let output = BufReader::new(process.stdout.take().expect("its stdout"));
        let mut issuer = Issuer { process, input, output, url: String::new(), _folder: folder };
        issuer.url = issuer.line();
        issuer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of the issuer");
        assert!(line.ends_with('\n'), "the issuer has ended");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, what: &Value) -> String {
        writeln!(self.input, "{what}").expect("the issuer reads");
        self.line()
    }

    fn generate(&mut self, alg: &str, kid: &str) {
        self.ask(&json!({"what": "generate", "alg": alg, "kid": kid}));
    }

    /// A token of a job, with these claims changed.
    fn token(&mut self, kid: &str, expires_in: u32, changes: Value) -> String {
        let mut claims =
            json!({"aud": "latchd", "sub": "repo:acme/app", "repository": "acme/app", "ref": "refs/heads/main"});
        claims.as_object_mut().expect("claims").extend(changes.as_object().expect("changes").clone());
        self.ask(&json!({"what": "token", "kid": kid, "expiresIn": expires_in, "claims": claims}))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn server(issuer: &str) -> Server {
    let rules = r#"
        [[access.oidc.rules]]
        claims = { repository = "acme/*", ref = "refs/heads/main" }
        name = "{repository}"
        role = "client"
        prefixes = ["repo/{repository}/"]
    "#;
    let table = |url: &str| format!("[[access.oidc]]\nissuer = \"{url}\"\naudience = \"latchd\"\n{rules}\n");
    let bounds = "[access]\noidc_leeway = \"0s\"\noidc_refetch_interval = \"50ms\"\n";
    let text = format!("{bounds}{}{}", table(issuer), table(ABSENT));
    Spec::in_memory().redis().api_key(KEY).configuration(text).start()
}

/// Opens a session with this secret as a Bearer token.
fn open(server: &Server, secret: &str) -> (Client, Response) {
    let mut client = Client::plain(server).with_header("Authorization", &format!("Bearer {secret}"));
    let answer = client.send("POST", "/session", b"");
    (client, answer)
}

fn lock(client: &mut Client, name: &str) -> Response {
    client.post("/v1/lock", &json!({"name": name, "lock_timeout_seconds": 30}))
}

fn assert_refused(answer: &Response, status: u16, code: &str, told: &str) {
    let body = answer.text();
    assert!(answer.status == status && body.contains(code) && body.contains(told), "{}: {body}", answer.status);
}

#[test]
fn tokens_of_an_issuer_open_what_the_rules_say() {
    let mut issuer = Issuer::start();
    let algorithms = ["RS256", "PS384", "ES256", "ES384", "EdDSA"];
    algorithms.iter().for_each(|alg| issuer.generate(alg, alg));
    let server = server(&issuer.url);
    let brief = issuer.token("RS256", 2, json!({}));
    let mut redis = RedisClient::with_key(&server, &brief);
    let mut events = Events::open(server.http(), "/v1/events", &[&format!("authorization: Bearer {brief}")]);
    for alg in algorithms {
        assert_eq!(open(&server, &issuer.token(alg, 300, json!({}))).1.status, 201, "{alg}");
    }
    rights_end_at_the_prefix(&server, &mut issuer);
    refusals_say_what_is_wrong(&server, &mut issuer);
    every_place_for_a_secret_takes_a_token(&server, &issuer.token("ES256", 300, json!({})));
    issuer.generate("ES256", "new");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(open(&server, &issuer.token("new", 300, json!({}))).1.status, 201, "its key is fetched");
    let (old, unknown) = (issuer.token("RS256", 300, json!({"jti": "x"})), issuer.token("new", 300, json!({})));
    issuer.ask(&json!({"what": "stop"}));
    assert_eq!([open(&server, &old).1.status, open(&server, &unknown).1.status], [201; 2], "its last keys are used");
    absent_issuer_keeps_nobody_else_out(&server, &old);
    let deadline = Instant::now() + PATIENCE;
    while redis.ask(&["GET", "repo/acme/app/x"]) == Reply::Nil {
        assert!(Instant::now() < deadline, "the connection outlives its token");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut last = Value::Null;
    while let Some(block) = events.block() {
        last = block.data.unwrap_or(last);
    }
    assert_eq!(last, json!({"event": "dropped", "why": "credential-ended"}));
    assert_refused(&open(&server, &brief).1, 401, "identity-token-refused", "has expired");
    let metrics = Client::plain(&server).with_header("X-API-Key", KEY).get("/metrics").text();
    for shown in [
        format!("latchd_oidc_keys{{issuer=\"{}\"}} 6", issuer.url),
        format!("latchd_oidc_keys{{issuer=\"{ABSENT}\"}} 0"),
        "latchd_oidc_refusals_total{reason=\"audience\"} 1".to_owned(),
    ] {
        assert!(metrics.contains(&shown), "{shown}:\n{metrics}");
    }
    let log = server.stderr();
    assert!(log.contains("the identity token is for another audience") && !log.contains("eyJ"), "{log}");
}

fn rights_end_at_the_prefix(server: &Server, issuer: &mut Issuer) {
    let (mut client, _) = open(server, &issuer.token("RS256", 300, json!({"jti": "a"})));
    assert_eq!(lock(&mut client, "repo/acme/app/deploy").status, 200);
    for other in ["repo/acme/app2/deploy", "repo/acme", "deploy"] {
        assert_refused(&lock(&mut client, other), 403, "forbidden", "lacks the right to take the lock");
    }
    let session = client.cookie("ldlm-session").expect("a cookie").to_owned();
    let with_session = |token: &str, name: &str| {
        let mut client = Client::plain(server).with_header("Authorization", &format!("Bearer {token}"));
        client.set_cookie("ldlm-session", &session);
        lock(&mut client, name)
    };
    let next = issuer.token("ES256", 300, json!({"jti": "b"}));
    assert_eq!(with_session(&next, "repo/acme/app/next").status, 200, "the next token of the subject goes on");
    let other = issuer.token("ES256", 300, json!({"sub": "other"}));
    assert_refused(&with_session(&other, "repo/acme/app/other"), 403, "session-of-another", "");
}

fn refusals_say_what_is_wrong(server: &Server, issuer: &mut Issuer) {
    let mut refused = |expires_in, changes: Value| open(server, &issuer.token("RS256", expires_in, changes)).1;
    let audience = refused(300, json!({"aud": "other"}));
    assert_refused(&audience, 401, "identity-token-refused", "for another audience");
    let challenge = audience.header("www-authenticate").expect("a challenge");
    let expected = "Bearer error=\"invalid_token\", error_description=\"the identity token is for another audience\"";
    assert_eq!(challenge, expected);
    assert_refused(&refused(300, json!({"ref": "refs/heads/x"})), 403, "forbidden", "no rule of access.oidc");
    assert_refused(&refused(90_000, json!({})), 401, "identity-token-refused", "access.oidc_lifetime_max");
    assert_refused(&refused(300, json!({"nbf": 4_000_000_000_u64})), 401, "identity-token-refused", "not valid yet");
    assert_refused(&refused(300, json!({"iss": "https://other"})), 401, "identity-token-refused", "not known here");
}

fn every_place_for_a_secret_takes_a_token(server: &Server, token: &str) {
    let basic = BASE64_STANDARD.encode(format!("ci:{token}"));
    for (name, value) in [("X-API-Key", token), ("Authorization", &format!("Basic {basic}")), ("Authorization", token)]
    {
        let answer = Client::plain(server).with_header(name, value).send("POST", "/session", b"");
        assert_eq!(answer.status, 201, "{name}");
    }
    let wrong = Client::plain(server).with_header("X-API-Key", KEY).with_header("Authorization", "Bearer eyJ.x.y");
    assert_eq!({ wrong }.send("POST", "/session", b"").status, 201, "any valid secret opens");
    let mut redis = RedisClient::with_key(server, token);
    assert_eq!(redis.ask(&["SET", "repo/acme/app/r", "1", "NX", "PX", "1000"]), Reply::Status("OK".to_owned()));
    let Reply::Error(error) = redis.ask(&["SET", "other", "1", "NX", "PX", "1000"]) else { panic!("it was taken") };
    assert!(error.starts_with("NOPERM"), "{error}");
}

fn absent_issuer_keeps_nobody_else_out(server: &Server, token: &str) {
    let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let claims = json!({"iss": ABSENT, "aud": "latchd", "sub": "x", "iat": now, "exp": now + 60});
    let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    let (_, answer) = open(server, &format!("{header}.{claims}.{signature}"));
    assert_refused(&answer, 503, "issuer-unreachable", "cannot be fetched now");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(open(server, KEY).1.status, 201);
    assert_eq!(Client::plain(server).get("/readyz").status, 200);
}
