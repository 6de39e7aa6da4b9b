//! Guesses do not keep the right password out, and a throttled address does not learn it any faster.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::process::Server;
use crate::support::spec::Spec;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

const PASSWORD: &str = "right horse battery";

/// One login on a connection of its own from this address.
fn login(server: &Server, from: Ipv4Addr, password: &str) -> u16 {
    use std::io::{Read, Write};
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("the option is known");
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("127.0.0.0/8 is ours");
    socket.connect(&server.http().into()).expect("the server listens");
    let mut stream: std::net::TcpStream = socket.into();
    let credential = BASE64_STANDARD.encode(format!("u:{password}"));
    let request = format!(
        "POST /session HTTP/1.1\r\nhost: t\r\nauthorization: Basic {credential}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("the request is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
}

/// 24 connections from 192 addresses guess all the while.
#[test]
fn right_password_passes_while_others_guess() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let (done, guesses) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let n = guesses.fetch_add(1, Ordering::Relaxed);
                    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(n % 192 + 1).expect("small"));
                    assert_ne!(login(&server, from, &format!("guess {n}")), 201);
                }
            });
        }
        while guesses.load(Ordering::Relaxed) < 192 {
            std::thread::yield_now();
        }
        let statuses: Vec<u16> =
            (1..=20).map(|host| login(&server, Ipv4Addr::new(127, 0, 2, host), PASSWORD)).collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(statuses, [201; 20]);
    });
}

#[test]
fn throttled_answers_do_not_reveal_the_password() {
    let server = Spec::in_memory().configuration("[access]\nfailure_limit = 2\n").password(PASSWORD).start();
    let (home, guesser) = (Ipv4Addr::new(127, 0, 2, 1), Ipv4Addr::new(127, 0, 2, 2));
    assert_eq!(login(&server, home, PASSWORD), 201, "so the password is known");
    let mut statuses: Vec<u16> = (0..4).map(|n| login(&server, guesser, &format!("guess {n}"))).collect();
    statuses.push(login(&server, guesser, PASSWORD));
    assert_eq!(statuses, [401, 401, 429, 429, 429], "one is judged a second");
    assert_eq!(login(&server, home, PASSWORD), 201);
}

#[test]
fn failed_logins_are_logged_once_per_address() {
    let server = Spec::in_memory().password(PASSWORD).start();
    let guessers: Vec<Ipv4Addr> = (1..=30).map(|host| Ipv4Addr::new(127, 0, 3, host)).collect();
    for round in 0..3 {
        for from in &guessers {
            assert!(matches!(login(&server, *from, &format!("guess {round}")), 401 | 429));
        }
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.stderr().matches("has failed").count() < guessers.len() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    let lines = |from: &Ipv4Addr| server.stderr().matches(&format!("a login from {from} has failed")).count();
    let told: Vec<usize> = guessers.iter().map(lines).collect();
    assert_eq!(told, [1; 30], "{}", server.stderr());
}
