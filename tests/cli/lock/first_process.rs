//! `latchd lock` as the first process of a container: it inherits every orphan.

use rustix::process::Signal;

use super::job::{Job, latchd, url};
use crate::support::process::Server;
use crate::support::spec::Spec;

/// Leaves orphans that end soon, and shows those of them that stay zombies.
const ORPHANS: &str = "
for n in 1 2 3; do sh -c 'sleep 0.1 & exec true'; done
sleep 0.5
n=0
while grep -qs '^State:.Z' /proc/[0-9]*/status && [ $n -lt 40 ]; do n=$((n + 1)); sleep 0.05; done
grep -hs '^State:.Z' /proc/[0-9]*/status
echo $(cat /proc/1/comm) done
";

#[test]
fn first_process_reaps_orphans_of_its_command() {
    let server = Spec::in_memory().start();
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", env!("CARGO_BIN_EXE_latchd")]);
    command.args(["lock", "first", "--", "sh", "-c", ORPHANS]);
    command.env("LATCHD_URL", url(&server)).env("XDG_CONFIG_HOME", "/nonexistent").stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ended = super::job::run(command);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "latchd done\n"), "{}", ended.stderr);
}

#[test]
fn inherited_child_is_reaped_without_changing_exit_code() {
    let ends_later = "sleep 0.1 & echo $!; exec";
    // Nobody gets its signal.
    let has_ended = "sleep 0 & echo $!; exec perl -e \
        '$pid = shift; do { open $stat, \"/proc/$pid/stat\"; $_ = <$stat> } until /\\) Z/; exec @ARGV' $!";
    let server = Spec::in_memory().start();
    [ends_later, has_ended].iter().for_each(|start| is_reaped(&server, start));
}

/// `start` begins a child, prints its number, and then runs the rest of the line in the place of the shell.
fn is_reaped(server: &Server, start: &str) {
    let mut holder = Job::start(&mut super::job::lock(server, "busy", &[], "echo $$; exec sleep 60"));
    holder.number();
    // The shell becomes `latchd lock`, which has the shell's child then.
    let script = format!("{start} {} lock busy -- sh -c 'exit 9'", env!("CARGO_BIN_EXE_latchd"));
    let mut command = latchd(&url(server));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).env("LATCHD_URL", url(server)).env("XDG_CONFIG_HOME", "/nonexistent");
    shell.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    std::mem::swap(&mut command, &mut shell);
    let mut job = Job::start(&mut command);
    let child = job.number();
    super::job::wait_until("the child is reaped", || super::job::state(child).is_none());
    holder.signal(Signal::TERM);
    assert_eq!(job.end().code, Some(9));
}
