//! What a lock is for: a counter behind it, incremented by clients that are frozen between their read and their write.
//!
//! A frozen client keeps believing in a lock that is long somebody else's. Where the counter refuses tokens lower than
//! one it has seen, no increment is lost; without that check some are, which shows that the faults of this test bite.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::client::Client;
use super::fleet::Fleet;
use super::history::Recorder;
use super::scenarios::turn;
use super::tries::Wanted;
use crate::proof::random::Random;

const CLIENTS: usize = 4;
const LEASE_MS: u64 = 400;
/// Longer than the lease, so that another client gets the lock meanwhile.
const FROZEN: Duration = Duration::from_millis(1200);
/// How many clients are frozen, and again as many until one of them has come too late.
const FREEZES: usize = 4;
const PATIENCE: Duration = Duration::from_secs(60);
const NAME: &str = "counter";

/// The resource that the lock guards, in the test's own process.
struct Counter {
    checks_tokens: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    value: u64,
    highest_token: u64,
    /// Increments that were confirmed to their clients.
    confirmed: u64,
    /// Writes with the token of a hold that had ended, whether they were refused or not.
    too_late: u64,
    refused: u64,
    freezes: usize,
    freezes_wanted: usize,
    reads: usize,
}

impl Counter {
    /// Serves one client: `read TOKEN`, `write TOKEN VALUE`; every answer is a number, or `stale`.
    fn serve(&self, stream: TcpStream, random: &mut Random) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let mut stream = stream;
        let pid = lines.next().transpose()?.and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        let pid = pid.expect("a client begins with its process id");
        for line in lines {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().expect("a client sends numbers");
            let answer = match words[0] {
                "read" => self.read(number(1), pid, random),
                _ => self.write(number(1), number(2)),
            };
            let answer = answer.map_or("stale".to_owned(), |value| value.to_string());
            stream.write_all(format!("{answer}\n").as_bytes())?;
        }
        Ok(())
    }

    fn is_stale(&self, state: &mut State, token: u64) -> bool {
        let stale = token < state.highest_token;
        state.highest_token = state.highest_token.max(token);
        stale
    }

    fn read(&self, token: u64, pid: Pid, random: &mut Random) -> Option<u64> {
        let mut state = self.state.lock().expect("no reader panics");
        if self.is_stale(&mut state, token) && self.checks_tokens {
            return None;
        }
        state.reads += 1;
        if state.reads > 20 && state.freezes < state.freezes_wanted && random.below(5) == 0 {
            state.freezes += 1;
            freeze_for_a_while(pid);
        }
        Some(state.value)
    }

    fn write(&self, token: u64, value: u64) -> Option<u64> {
        let mut state = self.state.lock().expect("no writer panics");
        if self.is_stale(&mut state, token) {
            state.too_late += 1;
            if self.checks_tokens {
                state.refused += 1;
                return None;
            }
        }
        state.value = value;
        state.confirmed += 1;
        Some(value)
    }
}

/// Stops the process before it can hear the answer to its read.
fn freeze_for_a_while(pid: Pid) {
    // A client may have ended already, when the run was over.
    let _ = kill_process(pid, Signal::STOP);
    std::thread::spawn(move || {
        std::thread::sleep(FROZEN);
        let _ = kill_process(pid, Signal::CONT);
    });
}

#[test]
fn counter_with_token_check_loses_no_increment() {
    let end = count(true);
    assert_eq!(end.value, end.confirmed, "{} increments were confirmed", end.confirmed);
    assert!(end.refused > 0, "no frozen client came too late, so nothing was tested");
}

#[test]
fn counter_without_token_check_loses_increments() {
    let end = count(false);
    assert!(end.value < end.confirmed, "all of {} increments counted", end.confirmed);
}

fn count(checks_tokens: bool) -> State {
    let _turn = turn();
    let mut random = Random::seeded("counter");
    let fleet = Fleet::start(super::scenarios::SIZE);
    let counter =
        Arc::new(Counter { checks_tokens, state: Mutex::new(State { freezes_wanted: FREEZES, ..State::default() }) });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound").to_string();
    let nodes: Vec<String> = fleet.addresses.all().iter().map(|(id, address)| format!("{id}={address}")).collect();
    let _clients: Vec<Killed> = (0..CLIENTS).map(|number| start_client(number, &at, &nodes.join(","))).collect();
    for _ in 0..CLIENTS {
        let (stream, _) = listener.accept().expect("each client connects");
        let (counter, mut random) = (Arc::clone(&counter), random.fork());
        // A client that is killed at the end leaves its thread with an error.
        std::thread::spawn(move || drop(counter.serve(stream, &mut random)));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let mut state = counter.state.lock().expect("no writer panics");
        // Long enough after the last freeze that the frozen one has written, or has been refused.
        if state.freezes == state.freezes_wanted {
            drop(state);
            std::thread::sleep(2 * FROZEN);
            state = counter.state.lock().expect("no writer panics");
            if state.too_late > 0 {
                return std::mem::take(&mut state);
            }
            state.freezes_wanted += FREEZES;
        }
        assert!(Instant::now() < deadline, "{} reads, {} freezes:\n{}", state.reads, state.freezes, fleet.told());
    }
}

/// A client process that ends with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Clients are processes, because only a process can be frozen: this test binary again, with one test to run.
fn start_client(number: usize, counter: &str, nodes: &str) -> Killed {
    let file = std::env::current_exe().expect("the test binary has a path");
    let mut command = Command::new(file);
    command.args(["--exact", "--ignored", "--nocapture", "cluster::counter::client_process"]);
    command.env("COUNTER_CLIENT", number.to_string()).env("COUNTER_AT", counter).env("COUNTER_NODES", nodes);
    // The certificate that clients trust is made once for a test process.
    command.env("TEST_CERTIFICATE", crate::support::certificate::pair().certificate.parent().expect("it has a folder"));
    Killed(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the test binary starts"))
}

#[test]
#[ignore = "a client of the tests above, which start it"]
fn client_process() {
    let Ok(number) = std::env::var("COUNTER_CLIENT") else { return };
    let number: u64 = number.parse().expect("a number");
    let nodes = std::env::var("COUNTER_NODES").expect("the tests above set it");
    let nodes = nodes.split(',').map(|node| node.split_once('=').expect("an id and an address"));
    let nodes: Vec<_> =
        nodes.map(|(id, address)| (id.parse().expect("an id"), address.parse().expect("an address"))).collect();
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    let recorder = Recorder::new(file.path());
    let mut client = Client::new(number, &nodes.into(), &recorder, Random::seeded("counter client"));
    let counter = TcpStream::connect(std::env::var("COUNTER_AT").expect("the tests above set it"));
    let mut counter = counter.expect("the counter listens");
    let mut answers = BufReader::new(counter.try_clone().expect("a socket has two halves")).lines();
    counter.write_all(format!("{}\n", std::process::id()).as_bytes()).expect("the counter listens");
    let mut ask = move |line: String| -> Option<u64> {
        counter.write_all(line.as_bytes()).expect("the counter listens");
        answers.next().expect("the counter answers").expect("the counter answers").parse().ok()
    };
    let wanted = Wanted { lease_ms: LEASE_MS, wait_ms: Some(5000), keyed: false, patience: Duration::from_secs(8) };
    for round in 0.. {
        let Some(hold) = client.acquire(NAME, wanted, round) else { continue };
        if let Some(value) = ask(format!("read {}\n", hold.token)) {
            ask(format!("write {} {}\n", hold.token, value + 1));
        }
        client.release(&hold);
    }
}
