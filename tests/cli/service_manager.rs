//! Notifications to a service manager (`Type=notify`).

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::process::Server;
use crate::support::spec::Spec;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A manager, and the server that it starts.
fn supervised(prepare: impl FnOnce(&UnixDatagram, &std::path::Path)) -> (UnixDatagram, Server, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a directory");
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("bound");
    manager.set_read_timeout(Some(TIMEOUT)).expect("set");
    prepare(&manager, &path);
    let server = Spec::in_memory()
        .environment("LATCHD_SERVER_DRAIN_DELAY", "300ms")
        .environment("NOTIFY_SOCKET", path.display())
        .start();
    (manager, server, folder)
}

fn told(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 4096];
    let length = manager.recv(&mut bytes).expect("it is told something");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn service_manager_is_notified_of_start_and_stop() {
    let (manager, server, _folder) = supervised(|_, _| {});
    let ready = told(&manager);
    assert!(ready.starts_with("READY=1\nSTATUS=listening on https://"), "{ready}");
    assert!(server.stop().status.success());
    let stopping = told(&manager);
    assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
}

#[test]
fn unreachable_service_manager_stops_nothing() {
    let (_manager, server, _folder) = supervised(|_, path| {
        let stuffed = UnixDatagram::unbound().expect("a socket");
        stuffed.set_nonblocking(true).expect("set");
        while stuffed.send_to(b"nobody reads this", path).is_ok() {}
    });
    assert!(server.stop().status.success());
}
