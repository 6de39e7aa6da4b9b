//! Common behaviour: one table of scenarios, run through all ten dialects.

use super::dialect_client::{DialectClient, Protocol, until};
use crate::support::process::Server;
use crate::support::spec::Spec;
use std::time::{Duration, Instant};

type Scenario = (&'static str, fn(&Server, Protocol));

const SCENARIOS: &[Scenario] = &[
    ("one holder at a time", one_holder_at_a_time),
    ("only the proof releases", only_the_proof_releases),
    ("tokens rise with every grant", tokens_rise),
    ("names are apart", names_are_apart),
];

/// kufuli's clients choose neither how long they wait nor how long they hold.
const KUFULI: &str = "[locks]\nkufuli_wait = \"0s\"\nkufuli_max_lock_span = \"10m\"\n";

/// Dialects in which the name is enough to unlock.
const WITHOUT_PROOF: [Protocol; 2] = [Protocol::LockByName, Protocol::LockdGrpc];

#[test]
fn all_dialects_pass_all_scenarios() {
    let server = Spec::in_memory().redis().configuration(KUFULI).start();
    for (title, play) in SCENARIOS {
        for protocol in Protocol::ALL {
            println!("{title}: {protocol:?}");
            play(&server, protocol);
        }
    }
}

fn one_holder_at_a_time(server: &Server, protocol: Protocol) {
    let name = format!("one-{protocol:?}");
    let (mut first, mut second) = (DialectClient::new(protocol, server), DialectClient::new(protocol, server));
    assert!(first.take(&name).is_some());
    assert!(second.take(&name).is_none());
    // RaftLock's holds are reentrant.
    assert_eq!(first.take(&name).is_some(), protocol == Protocol::RaftLock, "holds are not reentrant");
    assert!(first.give_back(&name));
    assert!(!first.give_back(&name), "released twice");
    assert!(second.take(&name).is_some());
    assert!(second.give_back(&name));
}

fn only_the_proof_releases(server: &Server, protocol: Protocol) {
    let name = format!("proof-{protocol:?}");
    let (mut holder, mut other) = (DialectClient::new(protocol, server), DialectClient::new(protocol, server));
    assert!(!other.give_back(&name), "nothing is held");
    // The other has held it before, so it has a proof that was right once.
    assert!(other.take(&name).is_some() && other.give_back(&name));
    assert!(holder.take(&name).is_some());
    if !WITHOUT_PROOF.contains(&protocol) {
        assert!(!other.give_back(&name), "an old proof opened a new hold");
        assert!(other.take(&name).is_none());
    }
    assert!(holder.give_back(&name));
}

fn tokens_rise(server: &Server, protocol: Protocol) {
    let name = format!("tokens-{protocol:?}");
    let mut dialect_client = DialectClient::new(protocol, server);
    let mut last = 0;
    for _ in 0..5 {
        let hold = dialect_client.take(&name).expect("free");
        assert!(hold.token > last && hold.token < 1 << 53);
        last = hold.token;
        assert!(dialect_client.give_back(&name));
    }
}

fn names_are_apart(server: &Server, protocol: Protocol) {
    let mut dialect_client = DialectClient::new(protocol, server);
    let names = ["apart", "Apart", "apart-2", "apart."].map(|name| format!("{name}{protocol:?}"));
    for name in &names {
        assert!(dialect_client.take(name).is_some(), "{name}");
    }
    for name in &names {
        assert!(dialect_client.give_back(name), "{name}");
    }
}

#[test]
fn lease_expires_and_never_early() {
    // A lock by name has no lease of its own, nor has Terraform's; the bound on their holds ends them.
    let configuration = "[locks]\nmax_hold = \"400ms\"\nkufuli_wait = \"0s\"\nkufuli_max_lock_span = \"400ms\"\n\
        [terraform]\nmax_hold = \"400ms\"\n";
    let server = Spec::in_memory().redis().configuration(configuration).start();
    for protocol in Protocol::ALL {
        // These two know whole seconds only.
        let lease = if matches!(protocol, Protocol::LdlmGrpc | Protocol::RaftLock) { 1.0 } else { 0.4 };
        let name = format!("lease-{protocol:?}");
        let (mut first, mut second) = (DialectClient::new(protocol, &server), DialectClient::new(protocol, &server));
        let asked = Instant::now();
        let hold = first.take_for(&name, lease).expect("free");
        if let Some(expires_in) = hold.expires_in {
            assert!(expires_in > 0.0 && expires_in <= lease, "{protocol:?}: {expires_in}");
        }
        until("the lease to end", || second.take_for(&name, lease).is_some());
        assert!(asked.elapsed() >= Duration::from_secs_f64(lease), "{protocol:?}: the lease ended early");
        if !WITHOUT_PROOF.contains(&protocol) {
            assert!(!first.give_back(&name), "{protocol:?}: a hold that has ended was released");
        }
    }
}

#[test]
fn restart_keeps_holds_proofs_and_token_order() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Spec::durable(directory.path()).redis().configuration(KUFULI).start();
    let mut holders = Protocol::ALL.map(|protocol| {
        let mut dialect_client = DialectClient::new(protocol, &server);
        let hold = dialect_client.take(&format!("kept-{protocol:?}")).expect("free");
        (dialect_client, hold)
    });
    let last = holders.iter().map(|(_, hold)| hold.token).max().expect("ten");
    let server = server.kill_and_restart();
    for (holder, _) in &mut holders {
        let protocol = holder.protocol;
        let name = format!("kept-{protocol:?}");
        holder.move_to(&server);
        let mut other = DialectClient::new(protocol, &server);
        assert!(other.take(&name).is_none(), "{protocol:?}: the hold is lost");
        assert!(holder.give_back(&name), "{protocol:?}: the proof is lost");
        let next = other.take(&name).expect("released");
        assert!(next.token > last, "{protocol:?}: a token was given again");
    }
}
