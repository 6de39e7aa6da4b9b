//! The binary: its output, its exit codes and its refusals.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::http::Connection;
use crate::support::process::run_to_end;
use crate::support::spec::Spec;

pub fn latchd(arguments: &[&str], stdin: &str) -> (bool, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("piped").write_all(stdin.as_bytes()).expect("stdin is read");
    let output = child.wait_with_output().expect("an end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[test]
fn first_log_line_names_urls_and_sigterm_exits_zero() {
    let server = Spec::in_memory().start();
    let expected = format!(
        "latchd {} listening on https://{} http://{}",
        env!("CARGO_PKG_VERSION"),
        server.https(),
        server.http()
    );
    assert_eq!(server.first_line(), expected);
    assert_ne!(server.http().port(), 0);
    let ended = server.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "nothing but the first line on stdout");
    assert!(ended.stderr.contains("SIGTERM: finishing the requests in flight"), "{}", ended.stderr);
}

#[test]
fn health_sets_exit_code() {
    let server = Spec::in_memory().start();
    let ca = crate::support::certificate::pair().certificate.display().to_string();
    let url = format!("https://{}", server.https());
    let (plain, closed) = (format!("http://{}", server.http()), "http://127.0.0.1:1");
    for arguments in [vec!["--url", &url], vec!["--url", &url, "--ca", &ca], vec!["--url", &plain]] {
        let ended = run_to_end(&[&["health"], arguments.as_slice()].concat());
        assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout.lines().count(), 1);
    }
    let ended = run_to_end(&["health", "--url", closed]);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(
        ended.stderr,
        "latchd: not ready: http://127.0.0.1:1/readyz cannot be reached: Connection refused (os error 111)\n"
    );
    let ended = run_to_end(&["health", "--url", &url, "--ca", "/nonexistent.pem"]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("/nonexistent.pem cannot be used as a certificate authority"), "{}", ended.stderr);
}

#[test]
fn metrics_show_the_engines_own_numbers() {
    let server = Spec::in_memory().start();
    let mut connection = Connection::plain(server.http()).expect("a connection");
    let answer = connection.request("GET", "/metrics", &[], b"").expect("an answer");
    let text = String::from_utf8_lossy(&answer.body);
    for line in ["latchd_leader 1", "latchd_broken_invariants_total 0", "latchd_connections 1"] {
        assert!(text.lines().any(|shown| shown == line), "{line} in {text}");
    }
}

#[test]
fn refused_start_gives_advice() {
    for (arguments, message) in [
        (vec!["--listen", "http://0.0.0.0:0"], "--allow-anonymous"),
        (vec!["--listen", "ftp://h"], "flag --listen: listen[0] = "),
        (vec!["--config", "/nonexistent.toml"], "check --config or LATCHD_CONFIG"),
        (
            vec!["--listen", "https://127.0.0.1:0", "--tls-cert", "/nonexistent.pem", "--tls-key", "k.pem"],
            "/nonexistent.pem cannot be read",
        ),
        (vec!["--tls-cert", "c.pem"], "tls.cert and tls.key go together"),
        (vec!["--session-timeout", "soon"], "flag --session-timeout: sessions.idle_timeout = \"soon\""),
        (vec!["--api-key", ""], "an empty one would open the service to everybody"),
        (vec!["--data-dir", "d", "--in-memory"], "cannot be used with"),
        (vec!["--listen", "http://203.0.113.1:1", "--api-key", "k"], "cannot listen on http://203.0.113.1:1"),
    ] {
        let ended = run_to_end(&[&["serve"], arguments.as_slice()].concat());
        assert!(!ended.status.success(), "{arguments:?} started");
        assert!(ended.stderr.contains(message), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[test]
fn server_without_certificate_makes_private_development_pair() {
    let home = tempfile::tempdir().expect("a directory");
    let mut child = Command::new(env!("CARGO_BIN_EXE_latchd"))
        .args(["serve", "--in-memory", "--listen", "https://127.0.0.1:0"])
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("piped"));
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("the first line");
    let stderr = std::io::BufReader::new(child.stderr.take().expect("piped"));
    let mut said: Vec<String> = Vec::new();
    for line in std::io::BufRead::lines(stderr).map_while(Result::ok) {
        said.push(line);
        if said.last().is_some_and(|line| line.contains("SHA-256 fingerprint")) {
            break;
        }
    }
    let stderr = said.join("\n");
    child.kill().expect("the child is there");
    child.wait().expect("an end");
    assert!(line.starts_with("latchd ") && line.contains(" listening on https://127.0.0.1:"), "{line}");
    let key = std::fs::metadata(home.path().join("certs/dev-key.pem")).expect("the key");
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert!(stderr.contains("self-signed development pair") && stderr.contains("SHA-256 fingerprint"), "{stderr}");
}

#[test]
fn hash_output_is_accepted_by_the_configuration() {
    let (good, sum, _) = latchd(&["hash", "key"], "abc\n");
    assert!(good);
    assert_eq!(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
    let (good, phc, _) = latchd(&["hash", "password"], "hunter2");
    assert!(good && phc.starts_with("$argon2id$v=19$"), "{phc}");
    let list = format!("[\"{}\"]", phc.trim_end());
    let env = vec![("LATCHD_ACCESS_PASSWORDS".to_owned(), list)];
    let inputs = latchd::config::Inputs { env, ..Default::default() };
    assert!(latchd::config::Config::load(inputs).expect("accepted").has_credentials());
    let (good, _, message) = latchd(&["hash", "key"], "\n");
    assert!(!good && message.contains("nothing to hash"), "{message}");
}

#[test]
fn help_shows_examples_and_version_is_printed() {
    for command in ["serve", "health", "hash", "keys", "members", "backup", "certs", ""] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let (good, text, _) = latchd(&arguments, "");
        assert!(good && text.contains("Examples:"), "{arguments:?}: {text}");
    }
    assert_eq!(latchd(&["--version"], "").1, format!("latchd {}\n", env!("CARGO_PKG_VERSION")));
}
