//! A host name stands for all of its addresses.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn host_name_with_two_addresses_listens_on_both() {
    let home = tempfile::tempdir().expect("a directory");
    // The last address belongs to no interface, and is skipped.
    std::fs::write(home.path().join("hosts"), "127.0.0.1 two.test\n::1 two.test\n203.0.113.1 two.test\n")
        .expect("written");
    let binary = env!("CARGO_BIN_EXE_latchd");
    let script = format!(
        "mount --bind hosts /etc/hosts && exec {binary} serve --in-memory --listen http://two.test:0 --api-key k 2>log"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).current_dir(home.path());
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().expect("unshare");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("the first line");
    let urls: Vec<&str> = line.split_whitespace().filter(|word| word.starts_with("http://")).collect();
    let port = urls.first().and_then(|url| url.rsplit_once(':')).map(|(_, port)| port).unwrap_or_default();
    let connected = ["127.0.0.1", "[::1]"].map(|host| std::net::TcpStream::connect(format!("{host}:{port}")));
    child.kill().expect("it runs");
    child.wait().expect("an end");
    let log = std::fs::read_to_string(home.path().join("log")).expect("a log");
    assert_eq!(urls.len(), 2, "{line} {log}");
    assert!(connected.iter().all(Result::is_ok), "{line} {connected:?}");
    assert!(log.contains("203.0.113.1"), "{log}");
}
