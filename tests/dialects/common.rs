//! Common behaviour: one table of scenarios, run through all eight dialects.

use super::speaker::{Speaker, Tongue, until};
use crate::support::process::Server;
use crate::support::spec::Spec;
use std::time::{Duration, Instant};

type Scenario = (&'static str, fn(&Server, Tongue));

const SCENARIOS: &[Scenario] = &[
    ("one holder at a time", one_holder_at_a_time),
    ("only the proof releases", only_the_proof_releases),
    ("tokens rise with every grant", tokens_rise),
    ("names are apart", names_are_apart),
];

/// kufuli's clients choose neither how long they wait nor how long they hold.
const KUFULI: &str = "[locks]\nkufuli_wait = \"0s\"\nkufuli_max_lock_span = \"10m\"\n";

/// Dialects in which the name is enough to unlock.
const WITHOUT_PROOF: [Tongue; 2] = [Tongue::LockByName, Tongue::LockdGrpc];

#[test]
fn all_dialects_pass_all_scenarios() {
    let server = Spec::in_memory().configuration(KUFULI).start();
    for (title, play) in SCENARIOS {
        for tongue in Tongue::ALL {
            println!("{title}: {tongue:?}");
            play(&server, tongue);
        }
    }
}

fn one_holder_at_a_time(server: &Server, tongue: Tongue) {
    let name = format!("one-{tongue:?}");
    let (mut first, mut second) = (Speaker::new(tongue, server), Speaker::new(tongue, server));
    assert!(first.take(&name).is_some());
    assert!(second.take(&name).is_none());
    // RaftLock's holds are reentrant.
    assert_eq!(first.take(&name).is_some(), tongue == Tongue::RaftLock, "holds are not reentrant");
    assert!(first.give_back(&name));
    assert!(!first.give_back(&name), "released twice");
    assert!(second.take(&name).is_some());
    assert!(second.give_back(&name));
}

fn only_the_proof_releases(server: &Server, tongue: Tongue) {
    let name = format!("proof-{tongue:?}");
    let (mut holder, mut other) = (Speaker::new(tongue, server), Speaker::new(tongue, server));
    assert!(!other.give_back(&name), "nothing is held");
    // The other has held it before, so it has a proof that was right once.
    assert!(other.take(&name).is_some() && other.give_back(&name));
    assert!(holder.take(&name).is_some());
    if !WITHOUT_PROOF.contains(&tongue) {
        assert!(!other.give_back(&name), "an old proof opened a new hold");
        assert!(other.take(&name).is_none());
    }
    assert!(holder.give_back(&name));
}

fn tokens_rise(server: &Server, tongue: Tongue) {
    let name = format!("tokens-{tongue:?}");
    let mut speaker = Speaker::new(tongue, server);
    let mut last = 0;
    for _ in 0..5 {
        let hold = speaker.take(&name).expect("free");
        assert!(hold.token > last && hold.token < 1 << 53);
        last = hold.token;
        assert!(speaker.give_back(&name));
    }
}

fn names_are_apart(server: &Server, tongue: Tongue) {
    let mut speaker = Speaker::new(tongue, server);
    let names = ["apart", "Apart", "apart-2", "apart."].map(|name| format!("{name}{tongue:?}"));
    for name in &names {
        assert!(speaker.take(name).is_some(), "{name}");
    }
    for name in &names {
        assert!(speaker.give_back(name), "{name}");
    }
}

#[test]
fn lease_expires_and_never_early() {
    // A lock by name has no lease of its own; the bound on its holds ends it.
    let configuration = "[locks]\nmax_hold = \"400ms\"\nkufuli_wait = \"0s\"\nkufuli_max_lock_span = \"400ms\"\n";
    let server = Spec::in_memory().configuration(configuration).start();
    for tongue in Tongue::ALL {
        // These two know whole seconds only.
        let lease = if matches!(tongue, Tongue::LdlmGrpc | Tongue::RaftLock) { 1.0 } else { 0.4 };
        let name = format!("lease-{tongue:?}");
        let (mut first, mut second) = (Speaker::new(tongue, &server), Speaker::new(tongue, &server));
        let asked = Instant::now();
        let hold = first.take_for(&name, lease).expect("free");
        if let Some(expires_in) = hold.expires_in {
            assert!(expires_in > 0.0 && expires_in <= lease, "{tongue:?}: {expires_in}");
        }
        until("the lease to end", || second.take_for(&name, lease).is_some());
        assert!(asked.elapsed() >= Duration::from_secs_f64(lease), "{tongue:?}: the lease ended early");
        if !WITHOUT_PROOF.contains(&tongue) {
            assert!(!first.give_back(&name), "{tongue:?}: a hold that has ended was released");
        }
    }
}

#[test]
fn restart_keeps_holds_proofs_and_token_order() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let server = Spec::durable(directory.path()).configuration(KUFULI).start();
    let mut holders = Tongue::ALL.map(|tongue| {
        let mut speaker = Speaker::new(tongue, &server);
        let hold = speaker.take(&format!("kept-{tongue:?}")).expect("free");
        (speaker, hold)
    });
    let last = holders.iter().map(|(_, hold)| hold.token).max().expect("eight");
    let server = server.kill_and_restart();
    for (holder, _) in &mut holders {
        let tongue = holder.tongue;
        let name = format!("kept-{tongue:?}");
        holder.move_to(&server);
        let mut other = Speaker::new(tongue, &server);
        assert!(other.take(&name).is_none(), "{tongue:?}: the hold is lost");
        assert!(holder.give_back(&name), "{tongue:?}: the proof is lost");
        let next = other.take(&name).expect("released");
        assert!(next.token > last, "{tongue:?}: a token was given again");
    }
}
