//! The unit under a real systemd, booted in namespaces of its own: `make test-systemd`, as root on a Debian that has it.

use super::package::package;
use super::tools::{both, output, program, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const DISK: &str = "/var/lib/private/latchd";

/// A booted systemd; everything in it ends when it is dropped.
struct Booted {
    child: Child,
    group: PathBuf,
    init: u32,
    _folder: tempfile::TempDir,
}

impl Booted {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let stage = folder.path().join("stage");
        std::fs::create_dir(&stage).expect("made");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let groups = run(program("findmnt").args(["-t", "cgroup2", "-n", "-o", "TARGET"]));
        let groups = groups.lines().next().expect("control groups of the second version are mounted");
        let group = Path::new(groups).join(folder.path().file_name().expect("a name"));
        std::fs::create_dir(&group).expect("a control group can be made: run as root");
        // In the group before the namespace of groups is made, whose root it becomes.
        let enter = r#"echo $$ > "$0/cgroup.procs"; exec unshare --fork --pid --mount --uts --ipc --net --cgroup \
            --kill-child --propagation private "$@""#;
        let mut command = Command::new("bash");
        command.args(["-c", enter]).arg(&group).arg(root.join("tests/proof/systemd.sh")).arg(&stage);
        command.arg(root.join("deploy/latchd.service")).arg(env!("CARGO_BIN_EXE_latchd"));
        command.arg(package(folder.path()));
        let console = std::fs::File::create(folder.path().with_extension("console")).expect("a file");
        command.stdin(Stdio::null()).stdout(console.try_clone().expect("a handle")).stderr(console);
        let mut child = command.spawn().expect("bash");
        let deadline = Instant::now() + PATIENCE;
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let init = loop {
            let first = std::fs::read_to_string(&children).unwrap_or_default();
            let first = first.split_whitespace().next().and_then(|id| id.parse::<u32>().ok());
            let is_init = |id: &u32| {
                std::fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim() == "systemd")
            };
            if let Some(id) = first.filter(is_init) {
                break id;
            }
            let ended = child.try_wait().expect("it can be asked");
            assert!(ended.is_none() && Instant::now() < deadline, "systemd does not boot: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let booted = Self { child, group, init, _folder: folder };
        booted.until("systemctl is-system-running --wait", |_| true);
        booted
    }

    fn inside(&self, script: &str) -> Command {
        let mut command = program("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w"]);
        command.args(["timeout", "60", "bash", "-c", script]);
        command
    }

    /// Runs a script that must succeed.
    fn run(&self, script: &str) -> String {
        run(&mut self.inside(script)).trim().to_owned()
    }

    /// Runs a script until it succeeds and says such.
    fn until(&self, script: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = output(&mut self.inside(script));
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            if output.status.success() && is_so(&text) {
                return text;
            }
            let log = || both(&super::tools::output(&mut self.inside("journalctl --no-pager -n 60 -u latchd")));
            assert!(Instant::now() < deadline, "{script}: {}\n{}", both(&output), log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn show(&self, property: &str) -> String {
        self.run(&format!("systemctl show --value -p {property} latchd"))
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // Its namespace of processes ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ =
            output(Command::new("find").arg(&self.group).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]));
    }
}

const DROP_IN: &str = "/run/systemd/system/latchd.service.d";
const HOLD: &str = r#"curl -sk -c /tmp/jar -X POST https://127.0.0.1:8443/session
    curl -sk -b /tmp/jar https://127.0.0.1:8443/v1/lock -d '{"name": "kept", "lock_timeout_seconds": 3600}' |
        sed 's/.*"key":"\([^"]*\)".*/\1/' > /tmp/key; test -s /tmp/key"#;
/// It is written to the log, although new locks are refused on a full disk.
const RENEW: &str = r#"curl -skf -b /tmp/jar https://127.0.0.1:8443/v1/renew \
    -d '{"name": "kept", "key": "'$(cat /tmp/key)'", "lock_timeout_seconds": 3600}'"#;
const READY: &str = "curl -sk https://127.0.0.1:8443/readyz";

#[test]
#[ignore = "boots systemd: make test-systemd"]
fn systemd_unit_runs_and_restarts_after_failures() {
    let booted = Booted::new();
    booted.run("systemctl start latchd || { journalctl --no-pager -u latchd; systemctl status latchd; exit 1; }");
    // Started means told ready: it listens already.
    booted.run("curl -sk --fail https://127.0.0.1:8443/livez");
    booted.until(READY, |text| text == "ready");
    assert!(booted.show("StatusText").starts_with("listening on https://127.0.0.1:8443"));
    booted.run(&format!("test -e {DISK}/certs/dev-cert.pem && test -d {DISK}/data"));

    booted.run("kill -9 $(systemctl show --value -p MainPID latchd)");
    booted.until(READY, |text| text == "ready");
    assert_eq!(booted.show("NRestarts"), "1");

    // As often as a fast machine would: a start limit would end the unit for good meanwhile.
    booted.run(&format!("mkdir -p {DROP_IN} && printf '[Service]\nRestartSec=100ms\n' > {DROP_IN}/fast.conf"));
    booted.run("systemctl daemon-reload");
    booted.run(HOLD);
    booted.run(&format!("dd if=/dev/zero of={DISK}/filler bs=64k status=none || true"));
    booted.until(&format!("! {RENEW}"), |_| true);
    booted.until("systemctl show --value -p NRestarts latchd", |text| text.parse::<u32>().is_ok_and(|times| times > 7));
    booted.run(&format!("rm {DISK}/filler"));
    booted.until(READY, |text| text == "ready");
    booted.until(RENEW, |text| text.contains("\"locked\":true"));

    booted.run("systemctl stop latchd");
    assert_eq!((booted.show("Result"), booted.show("ActiveState")), ("success".to_owned(), "inactive".to_owned()));
}

/// Without the unit and the binary of the other test.
#[test]
#[ignore = "boots systemd: make test-systemd"]
fn debian_package_starts_restarts_and_stops_the_service() {
    let booted = Booted::new();
    booted.run("rm /etc/systemd/system/latchd.service /usr/local/bin/latchd && systemctl daemon-reload");
    booted.run("dpkg -i /latchd.deb");
    booted.until(READY, |text| text == "ready");
    assert_eq!(booted.show("User"), "latchd");
    assert_eq!(
        booted.run("stat -c %U:%a /var/lib/latchd /var/lib/latchd/data").replace('\n', " "),
        "latchd:700 latchd:700"
    );
    booted.run("latchd lock hello --wait 0s -- true");
    booted.run(HOLD);

    // An upgrade restarts it, with the configuration as it is now.
    booted.run("sed -i 's/8443/8444/' /etc/latchd/config.toml");
    let before = booted.show("MainPID");
    booted.run("dpkg -i /latchd.deb");
    booted.until("curl -sk https://127.0.0.1:8444/readyz", |text| text == "ready");
    assert_ne!(booted.show("MainPID"), before);
    booted.until(&RENEW.replace("8443", "8444"), |text| text.contains("\"locked\":true"));

    booted.run("dpkg -P latchd");
    booted.run("! systemctl is-active latchd && ! test -e /var/lib/latchd && ! pgrep -x latchd");
}
