//! The log of `latchd serve`: its lines, formats and destinations.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::process::run_to_end;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server with a certificate of its own and a file as its stderr.
struct Logged {
    child: Child,
    home: tempfile::TempDir,
    first_line: String,
}

impl Logged {
    fn start(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        renew(home.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        command.args("serve --in-memory --listen https://127.0.0.1:0 --tls-cert cert.pem --tls-key key.pem".split(' '));
        command.args(arguments).env("LATCHD_TLS_RELOAD_INTERVAL", "1h").current_dir(home.path());
        command.stderr(File::create(home.path().join("log")).expect("a file")).stdout(Stdio::piped());
        let mut child = command.stdin(Stdio::null()).spawn().expect("the binary starts");
        let mut first_line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first_line).expect("a line");
        Self { child, home, first_line }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn wait_for(&self, file: &str, text: &str) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let said = std::fs::read_to_string(self.path(file)).unwrap_or_default();
            if said.contains(text) {
                return;
            }
            assert!(Instant::now() < deadline, "no {text:?} in {file}: {said}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn ended_well(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            match self.child.try_wait().expect("it can be asked") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(status.success(), "{status}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).expect("a log")
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn renew(home: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    std::fs::write(home.join("cert.pem"), made.cert.pem()).expect("written");
    std::fs::write(home.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
}

/// The certificate that the server sends, without verification.
fn shown(address: SocketAddr) -> Vec<u8> {
    let output =
        Command::new("openssl").args(["s_client", "-connect", &address.to_string()]).stdin(Stdio::null()).output();
    output
        .expect("openssl")
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| line.len() == 64)
        .flatten()
        .copied()
        .collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn json_log_ends_with_stopped() {
    let mut server = Logged::start(&["--log-format", "json"]);
    let first = parsed(&server.first_line);
    let message = first["message"].as_str().expect("a message");
    assert!(message.starts_with("latchd ") && message.contains(" listening on https://127.0.0.1:"), "{first}");
    assert_eq!((first["level"].as_str(), first["version"].as_str()), (Some("INFO"), Some(env!("CARGO_PKG_VERSION"))));
    server.signal(Signal::TERM);
    server.ended_well();
    let lines: Vec<Value> = server.log().lines().map(parsed).collect();
    assert_eq!(lines.last().expect("lines")["message"], "stopped", "{lines:?}");
}

#[test]
fn text_log_ends_with_stopped() {
    let mut server = Logged::start(&[]);
    server.signal(Signal::TERM);
    server.ended_well();
    assert!(server.log().lines().next_back().expect("lines").ends_with("stopped"), "{}", server.log());
}

#[test]
fn log_lines_of_a_request_have_its_id() {
    for (format, expected) in [("text", " request_id=client-7"), ("json", ",\"request_id\":\"client-7\"}")] {
        let server = Logged::start(&["--log-format", format, "--api-key", "right"]);
        let urls =
            if format == "json" { parsed(&server.first_line)["urls"].to_string() } else { server.first_line.clone() };
        let address = urls.trim().trim_matches('"').rsplit_once("https://").expect("a URL").1.to_owned();
        let url = format!("https://{address}/v1/locks");
        let curl = ["-sk", "-H", "x-request-id: client-7", "-H", "x-api-key: wrong", &url];
        assert!(Command::new("curl").args(curl).output().expect("curl").status.success());
        server.wait_for("log", "has failed");
        let log = server.log();
        let line = log.lines().find(|line| line.contains("has failed")).expect("waited for");
        assert!(line.ends_with(expected), "{line}");
    }
}

#[test]
fn failed_start_is_logged_in_the_configured_format() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("latchd.toml");
    std::fs::write(&file, "[log]\nformat = \"json\"\n[sessions]\nidle_timeout = \"soon\"\n").expect("written");
    let in_file = ["serve", "--config", &file.display().to_string()].map(str::to_owned);
    let refused =
        |arguments: &[&str]| [&["serve"], arguments].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    for (arguments, reason) in [
        (refused(&["--log-format", "json", "--listen", "ftp://h"]), "flag --listen"),
        (
            refused(&["--log-format", "json", "--in-memory", "--listen", "http://203.0.113.1:1", "--api-key", "k"]),
            "203.0.113.1",
        ),
        (refused(&["--log-format", "json", "--log-file", "/nonexistent/log"]), "/nonexistent/log cannot be opened"),
        (in_file.to_vec(), "idle_timeout"),
    ] {
        let ended = run_to_end(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}");
        let last = ended.stderr.lines().map(parsed).next_back().unwrap_or_else(|| panic!("{arguments:?} says nothing"));
        assert_eq!(last["level"], "ERROR");
        assert!(last["message"].as_str().expect("a message").contains(reason), "{last}");
    }
    let ended = run_to_end(&["serve", "--listen", "ftp://h"]);
    assert!(ended.stderr.starts_with("latchd: flag --listen"), "{}", ended.stderr);
}

#[test]
fn sighup_reloads_certificate_and_log_file() {
    for arguments in [vec![], vec!["--log-file", "log"]] {
        let mut server = Logged::start(&arguments);
        let address = server.first_line.trim().rsplit_once("https://").expect("a URL").1.parse().expect("an address");
        let before = shown(address);
        assert!(!before.is_empty());
        std::fs::rename(server.path("log"), server.path("log.1")).expect("renamed");
        renew(server.home.path());
        server.signal(Signal::HUP);
        server.wait_for("log", "renewed the certificate");
        assert_ne!(shown(address), before);
        assert!(std::fs::read_to_string(server.path("log.1")).expect("kept").contains("serving the certificate"));
        std::fs::write(server.path("key.pem"), "junk").expect("written");
        server.signal(Signal::HUP);
        server.wait_for("log", "the certificate in use stays");
        server.signal(Signal::TERM);
        server.ended_well();
        assert!(server.log().trim_end().ends_with("stopped"));
    }
}

#[test]
fn sigint_and_sigquit_drain() {
    for (signal, name) in [(Signal::INT, "SIGINT"), (Signal::QUIT, "SIGQUIT")] {
        let mut server = Logged::start(&[]);
        server.signal(signal);
        server.ended_well();
        assert!(server.log().contains(&format!("{name}: finishing the requests in flight")), "{}", server.log());
    }
}

#[test]
fn key_files_work_for_server_and_clients() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("key");
    std::fs::write(&file, "from-a-file\n").expect("written");
    let path = file.display().to_string();
    let server = Logged::start(&["--api-key-file", &path, "--password-file", &path]);
    let url = server.first_line.trim().rsplit_once(' ').expect("a URL").1.replace("127.0.0.1", "localhost");
    let ca = server.path("cert.pem").display().to_string();
    for flag in ["--api-key-file", "--password-file"] {
        let ended = run_to_end(&["locks", "--url", &url, "--ca", &ca, flag, &path]);
        assert!(ended.status.success(), "{flag}: {}", ended.stderr);
    }
    for (variable, works) in [("LATCHD_API_KEY_FILE", true), ("LATCHD_PASSWORD_FILE", true), ("LATCHD_API_KEY", false)]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        let output = command
            .args(["locks", "--url", &url, "--ca", &ca])
            .env(variable, &path)
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.success(), works, "{variable}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
