//! When certificates end: the metric, the warning, and both after a renewal.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::probe_listen::authority;
use super::rig::PATIENCE;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

const DAY: u64 = 86_400;

/// The days that are left, by the metric.
fn days_left(server: &Server, certificate: &str) -> Option<u64> {
    let start = format!("latchd_certificate_expiry_timestamp_seconds{{certificate=\"{certificate}\",");
    let metrics = Client::plain(server).get("/metrics").text();
    let value = metrics.lines().find(|line| line.starts_with(&start))?.rsplit_once(' ')?.1.parse::<u64>().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    Some(value.saturating_sub(now) / DAY)
}

fn until(server: &Server, what: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "{}", server.stderr());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn certificate_expiry_is_shown_and_warned_of() {
    let home = tempfile::tempdir().expect("a directory");
    let spec = Spec::in_memory().argument("--client-ca").argument(authority(home.path(), 10));
    let server = spec.configuration("[tls]\nreload_interval = \"20ms\"\n").start();
    assert_eq!(days_left(&server, "tls.client_ca"), Some(10));
    assert!(days_left(&server, "tls.cert").is_some_and(|days| days > 365));
    let warned = || server.stderr().matches("tls.client_ca expires in").count();
    until(&server, || warned() > 0);
    assert!(server.stderr().contains("of tls.client_ca expires in 10 days ("), "{}", server.stderr());
    assert!(!server.stderr().contains("of tls.cert expires in"), "{}", server.stderr());
    authority(home.path(), 100);
    until(&server, || days_left(&server, "tls.client_ca") == Some(100));
    assert_eq!(warned(), 1, "once a day");
    authority(home.path(), 0);
    until(&server, || warned() == 2);
    assert!(server.stderr().contains("expires in 0 days ("), "{}", server.stderr());
}

/// A client authority that is none, and is valid from the year 2100 on.
fn unfit_authority(path: &std::path::Path) {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.not_before = rcgen::date_time_ymd(2100, 1, 1);
    params.not_after = rcgen::date_time_ymd(2101, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(path, params.self_signed(&key).expect("signed").pem()).expect("written");
}

#[test]
fn unfit_certificate_warns_at_start_and_each_reload() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("unfit.pem");
    unfit_authority(&path);
    let server = Spec::in_memory().argument("--client-ca").argument(path.display().to_string()).start();
    let lines = |text: &str| server.stderr().matches(text).count();
    let (early, wrong) = ("of tls.client_ca is not valid before 2100-01-01T", "of tls.client_ca is no authority's");
    until(&server, || lines(early) == 1 && lines(wrong) == 1);
    server.reload();
    until(&server, || lines(early) == 2 && lines(wrong) == 2);
}
