//! The listener for probes and metrics alone, and the health check that finds it.

use std::path::Path;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::support::client::{Client, Wire};
use crate::support::process::Server;
use crate::support::spec::Spec;

const API_KEY: &str = "probe-key-0123456789abcdef";

/// A file with an authority that nobody has a certificate from, which ends in so many days.
pub fn authority(dir: &Path, days: u64) -> String {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let now = std::time::SystemTime::now();
    params.not_after = (now + std::time::Duration::from_secs(days * 86_400 + 3_600)).into();
    let path = dir.join("clients.pem");
    let made = params.self_signed(&KeyPair::generate().expect("a key")).expect("signed");
    std::fs::write(&path, made.pem()).expect("written");
    path.display().to_string()
}

fn probes(server: &Server) -> String {
    let (_, at) = server.first_line().split_once(" and probes on http://").expect("named in the first line");
    at.trim().to_owned()
}

fn guarded(dir: &Path) -> Server {
    let spec = Spec::in_memory().api_key(API_KEY).argument("--client-ca").argument(authority(dir, 400));
    spec.argument("--probe-listen").argument("http://127.0.0.1:0").start()
}

#[test]
fn probe_listener_serves_probes_and_metrics_only() {
    let home = tempfile::tempdir().expect("a directory");
    let server = guarded(home.path());
    let at = probes(&server).parse().expect("an address");
    let mut probe = Client::at(at, Wire::Plain);
    assert_eq!((probe.get("/livez").status, probe.get("/readyz").status), (200, 200));
    let metrics = probe.get("/metrics");
    assert!(metrics.status == 200 && metrics.text().contains("latchd_locks_held"), "{}", metrics.text());
    for target in ["/", "/v1/locks", "/session", "/v1/cluster", "/docs", "/openapi.json", "/lock/a"] {
        let answer = probe.send("GET", target, b"");
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.text().contains("/metrics alone"), "{}", answer.text());
    }
    assert_eq!(probe.send("POST", "/session", b"").status, 404);
    assert_eq!(probe.send("POST", "/readyz", b"").status, 405);
    assert_eq!(Client::plain(&server).get("/metrics").status, 401, "the others ask as before");
}

#[test]
fn health_check_uses_the_configured_probe_address() {
    let home = tempfile::tempdir().expect("a directory");
    let server = guarded(home.path());
    let health = |variables: &[(&str, String)], arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
        command.arg("health").args(arguments).env_clear().current_dir(home.path());
        let ended = command.envs(variables.iter().map(|(name, value)| (*name, value))).output().expect("it starts");
        let told = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        (ended.status.success(), told)
    };
    let url = format!("http://{}", probes(&server));
    let elsewhere = || ("LATCHD_URL", "http://127.0.0.1:1".to_owned());
    let probe_listen = ("LATCHD_SERVER_PROBE_LISTEN", url.clone());
    // The key was given as a flag, which the health check does not know.
    let listen = ("LATCHD_LISTEN", format!("https://0.0.0.0:{}", server.https().port()));
    let (ready, told) = health(&[elsewhere(), listen.clone(), probe_listen], &["--local"]);
    assert!(ready && told.contains(&format!("{url} is ready")), "{told}");
    let (ready, told) = health(&[elsewhere(), listen, ("LATCHD_TLS_CLIENT_CA", "ca.pem".to_owned())], &["--local"]);
    assert!(!ready && told.contains("set server.probe_listen"), "{told}");
    let file = home.path().join("latchd.toml");
    std::fs::write(&file, format!("[server]\nprobe_listen = \"{url}\"\n")).expect("written");
    let file = file.display().to_string();
    assert!(health(&[elsewhere()], &["--config", &file]).0);
    assert!(health(&[elsewhere(), ("LATCHD_CONFIG", file)], &["--local"]).0);
    let (ready, told) = health(&[("LATCHD_LISTN", "x".to_owned())], &["--local"]);
    assert!(!ready && told.contains("LATCHD_LISTEN"), "{told}");
}

#[test]
fn only_a_plain_url_is_taken() {
    for bad in ["https://127.0.0.1:0", "127.0.0.1:80"] {
        let told = Spec::in_memory().argument("--probe-listen").argument(bad).try_start().err().expect("refused");
        assert!(told.contains("expected a plain URL like http://127.0.0.1:8081"), "{told}");
    }
}

#[test]
fn health_check_uses_the_probe_listener() {
    let server = Spec::in_memory().start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_latchd"));
    let listen = format!("https://0.0.0.0:{}", server.https().port());
    command.args(["health", "--local"]).env_clear().env("LATCHD_LISTEN", listen);
    let ended = command.output().expect("it starts");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
