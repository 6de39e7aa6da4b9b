//! Exit codes, the command's environment, and its background processes.

use super::job::{Job, latchd, lock, run, url, wait_until};
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::spec::Spec;

fn holders(server: &Server, name: &str) -> serde_json::Value {
    let answer = Client::plain(server).get(&format!("/v1/locks/{name}"));
    if answer.status == 404 { serde_json::json!([]) } else { answer.json()["holders"].clone() }
}

#[test]
fn exit_code_of_the_command_is_passed_on() {
    let server = Spec::in_memory().start();
    for (script, code) in
        [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
    {
        let ended = run(lock(&server, "codes", &["--wait", "0s"], script));
        assert_eq!((ended.code, &*ended.stderr), (Some(code), ""), "{script}");
    }
    assert_eq!(holders(&server, "codes"), serde_json::json!([]));
    let sessions = Client::plain(&server).get("/v1/sessions").json();
    assert_eq!(sessions["sessions"], serde_json::json!([]), "the session stays behind");
}

#[test]
fn command_that_cannot_run_exits_as_in_shells() {
    let server = Spec::in_memory().start();
    for (program, code) in [("no-such-program", 127), ("/etc/passwd", 126)] {
        let mut command = latchd(&url(&server));
        let ended = run({
            command.args(["lock", "codes", "--", program]);
            command
        });
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(program), "{}", ended.stderr);
    }
}

#[test]
fn environment_names_the_hold_and_listing_its_holder() {
    let server = Spec::in_memory().start();
    let flags = ["--metadata", "ticket=OPS-7", "--metadata", "by=cron=yes"];
    let script = "echo $LATCHD_LOCK_NAME $LATCHD_LOCK_KEY $LATCHD_FENCING_TOKEN; read -r line";
    let mut command = lock(&server, "the name", &flags, script);
    let mut job = super::job::Job::start(command.stdin(std::process::Stdio::piped()));
    let line = job.line();
    let holder = holders(&server, "the%20name")[0].clone();
    let (key, token) = (holder["key"].as_str().expect("a key"), &holder["fencing_token"]);
    assert_eq!(line, format!("the name {key} {token}"));
    assert_eq!((&holder["metadata"]["ticket"], &holder["metadata"]["by"]), (&"OPS-7".into(), &"cron=yes".into()));
    assert!(holder["metadata"]["host"].is_string() && holder["metadata"]["pid"].is_string(), "{holder}");
    assert_eq!(holder["metadata"]["user"], "root");
    let mut command = lock(&server, "unnamed", &["--no-default-metadata"], "echo; read -r line");
    let mut unnamed = Job::start(command.stdin(std::process::Stdio::piped()));
    assert_eq!(unnamed.line(), "");
    assert_eq!(holders(&server, "unnamed")[0]["metadata"], serde_json::json!({}));
    drop(unnamed);
    assert!(holder["remaining_seconds"].as_f64().is_some_and(|left| left > 20.0 && left <= 30.0), "{holder}");
}

#[test]
fn held_lock_is_not_acquired_and_command_not_run() {
    let server = Spec::in_memory().start();
    let mut holder = Job::start(&mut lock(&server, "held", &["--metadata", "ticket=OPS-7"], "echo $$; exec sleep 60"));
    holder.number();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named =
        format!("\"held\" is held by somebody else: host={host} pid={} ticket=OPS-7 user=root for ", holder.id());
    for wait in ["0s", "300ms"] {
        let ended = run(lock(&server, "held", &["--wait", wait], "echo ran"));
        assert_eq!((ended.code, &*ended.stdout), (Some(75), ""), "{wait}: {}", ended.stderr);
        assert!(ended.stderr.contains(&named), "{named}: {}", ended.stderr);
        assert!(ended.stderr.ends_with("s; nobody waits for it\n"), "{}", ended.stderr);
    }
    let waiting = Job::start(&mut lock(&server, "held", &["--wait", "60s"], "echo ran"));
    let mut client = Client::plain(&server);
    wait_until("somebody waits", || client.get("/v1/locks/held").json()["queue_length"] == 1);
    let ended = run(lock(&server, "held", &["--wait", "0s"], "echo ran"));
    assert!(ended.stderr.ends_with("; 1 waits for it\n"), "{}", ended.stderr);
    drop((waiting, holder));
    let semaphore = format!("{} lock two --size 2 --wait 0s -- echo ran; echo $?", env!("CARGO_BIN_EXE_latchd"));
    assert_eq!(run(lock(&server, "two", &["--size", "2"], &semaphore)).stdout, "ran\n0\n");
    let another = format!("{} lock two --size 3 --wait 0s -- echo ran; echo $?", env!("CARGO_BIN_EXE_latchd"));
    let refused = run(lock(&server, "two", &["--size", "2"], &another));
    assert_eq!(refused.stdout, "77\n", "{}", refused.stderr);
}

#[test]
fn enclosing_lock_is_reported_as_deadlock() {
    let server = Spec::in_memory().start();
    let latchd = env!("CARGO_BIN_EXE_latchd");
    let inner = |flags: &str| format!("{latchd} lock held {flags} -- echo ran; echo $?");
    let between =
        format!("{latchd} lock between -- {}", inner("--wait 60s").replace(" -- echo ran; echo $?", " -- true"));
    for (flags, script) in [
        ("no wait", inner("--wait 0s")),
        ("a wait", inner("--wait 60s")),
        ("a wait without end", inner("")),
        ("another lock between", format!("{between}; echo $?")),
    ] {
        let ended = run(lock(&server, "held", &[], &script));
        assert_eq!(ended.stdout, "75\n", "{flags}: {}", ended.stderr);
        let said = "is held by the `latchd lock` that this command runs under (host=";
        assert!(ended.stderr.contains(said) && ended.stderr.contains("a deadlock with oneself"), "{}", ended.stderr);
    }
    // Of two holds, one is around it, and another client will release the other.
    let mut other = Job::start(&mut lock(&server, "two", &["--size", "2"], "echo $$; exec sleep 60"));
    other.number();
    let script = format!("{latchd} lock two --size 2 --wait 300ms -- echo ran; echo $?");
    let ended = run(lock(&server, "two", &["--size", "2"], &script));
    assert!(ended.stdout == "75\n" && ended.stderr.contains("is held by somebody else: "), "{}", ended.stderr);
}

#[test]
fn background_process_of_the_command_goes_on() {
    let server = Spec::in_memory().start();
    let ended = run(lock(&server, "background", &[], "sleep 60 >/dev/null 2>&1 & echo $!"));
    let pid: u32 = ended.stdout.trim().parse().expect("a process id");
    assert!(super::job::lives(pid));
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was there");
}

#[test]
fn unreachable_and_refusing_services_set_different_exit_codes() {
    let server = Spec::in_memory().api_key("the right key").start();
    let wrong = run(lock(&server, "a", &["--api-key", "a wrong key"], "echo ran"));
    assert_eq!((wrong.code, &*wrong.stdout), (Some(77), ""), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("this password or API key is not known (401)"), "{}", wrong.stderr);
    let none = run(lock(&server, "a", &[], "echo ran"));
    assert_eq!((none.code, &*none.stdout), (Some(77), ""), "{}", none.stderr);
    assert_eq!(none.stderr, "latchd: a password or an API key is needed (401)\n", "as of `latchd locks`");
    let nowhere = "127.0.0.1:1";
    let dead = format!("http://{nowhere}");
    let both = run(lock(
        &server,
        "a",
        &["--api-key", "the right key", "--url", &format!("{dead},{}", url(&server))],
        "echo ran",
    ));
    assert_eq!((both.code, &*both.stdout), (Some(0), "ran\n"), "one dead node of two: {}", both.stderr);
    let unreachable = run(lock(&server, "a", &["--url", &dead], "echo ran"));
    assert_eq!((unreachable.code, &*unreachable.stdout), (Some(69), ""), "{}", unreachable.stderr);
    assert!(unreachable.stderr.contains("cannot be reached"), "{}", unreachable.stderr);
    let unusable = run(lock(&server, "a", &["--url", "ftp://x"], "echo ran"));
    assert_eq!(unusable.code, Some(78), "{}", unusable.stderr);
    let wrong_usage = run(lock(&server, "a", &["--lease", "10ms"], "echo ran"));
    assert_eq!(wrong_usage.code, Some(2));
    assert!(wrong_usage.stderr.contains("at least 1s"), "{}", wrong_usage.stderr);
}

#[test]
fn name_with_hyphen_is_accepted_behind_own_dashes() {
    let server = Spec::in_memory().start();
    let started = |arguments: &[&str]| {
        let mut command = latchd(&url(&server));
        command.arg("lock").args(arguments);
        run(command)
    };
    let show = ["sh", "-c", "echo $LATCHD_LOCK_NAME $*", "sh", "--", "a"];
    for name in ["-x", "--wait", "--"] {
        let ended = started(&[&["--wait", "0s", "--", name, "--"], &show[..]].concat());
        assert_eq!((ended.code, &*ended.stdout), (Some(0), &*format!("{name} -- a\n")), "{}", ended.stderr);
    }
    let ended = started(&[&["x", "--"], &show[..]].concat());
    assert_eq!(ended.stdout, "x -- a\n", "{}", ended.stderr);
    for wrong in [&["--", "echo", "ran"][..], &["--", "echo", "--", "ran"], &["--", "-x"], &["--", "-x", "--"], &["-x"]]
    {
        let ended = started(wrong);
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{wrong:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("<NAME>"), "{wrong:?}: {}", ended.stderr);
    }
}

#[test]
fn every_variable_of_the_command_is_in_the_help() {
    let server = Spec::in_memory().start();
    let told = run(lock(&server, "a", &[], "env | sed -n 's/^\\(LATCHD_[A-Z_]*\\)=.*/\\1/p'")).stdout;
    let mut help = latchd("");
    help.args(["lock", "--help"]);
    let help = run(help).stdout;
    assert!(told.lines().count() > 3, "{told}");
    for variable in told.lines() {
        assert!(help.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == variable), "{variable}");
    }
}

#[test]
fn unreadable_user_file_is_reported_without_its_secret() {
    let home = tempfile::tempdir().expect("a directory");
    for text in ["apikey = \"S3CRET\"", "api_key = S3CRET", "password = 5301234"] {
        std::fs::write(home.path().join("latchd.toml"), text).expect("written");
        for arguments in [&["lock", "a", "--", "true"][..], &["locks"], &["watch"]] {
            let mut command = latchd("");
            command.env("XDG_CONFIG_HOME", home.path()).args(arguments);
            let ended = run(command);
            assert_eq!(ended.code, Some(78), "{text}: {}", ended.stderr);
            assert!(ended.stderr.contains("latchd.toml cannot be used: line 1: "), "{text}: {}", ended.stderr);
            assert!(!ended.stderr.contains("S3CRET") && !ended.stderr.contains("5301234"), "{}", ended.stderr);
        }
    }
}

#[test]
fn user_file_sets_the_url() {
    let server = Spec::in_memory().api_key("key of the file").start();
    let home = tempfile::tempdir().expect("a directory");
    let text = format!("url = \"{}\"\napi_key = \"key of the file\"\n", url(&server));
    std::fs::write(home.path().join("latchd.toml"), text).expect("written");
    let mut command = latchd("");
    command.env("XDG_CONFIG_HOME", home.path()).args(["lock", "a", "--", "echo", "ran"]);
    let ended = run(command);
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "ran\n"), "{}", ended.stderr);
}
