//! Any node serves any client: sessions work on every node, refusals are current on every node, and a node without a quorum
//! reports that instead of guessing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::fleet::Fleet;
use super::scenarios::{SIZE, turn};
use super::speaker::{Lock, Speaker, body, granted};
use super::wire::{Ask, Wire};

const ROUNDS: usize = 30;
/// The promised time, and a little more for the network.
const REFUSED_WITHIN: Duration = Duration::from_millis(2300);
const UNREADY_WITHIN: Duration = Duration::from_secs(5);

/// Leader and followers, each by its address, the leader first.
fn nodes(fleet: &mut Fleet) -> Vec<SocketAddr> {
    let leader = fleet.leader();
    let mut ids = fleet.ids();
    ids.sort_by_key(|id| *id != leader);
    ids.into_iter().map(|id| fleet.address(id)).collect()
}

#[test]
fn session_works_on_every_node_with_current_refusals() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    let nodes = nodes(&mut fleet);
    for round in 0..ROUNDS {
        let at = |step: usize| nodes[(round + step) % nodes.len()];
        let name = format!("shared-{round}");
        let opened = Speaker::open(at(0));
        let moved = |step| Speaker::with_session(at(step), opened.session());
        let (mut here, mut there) = (moved(1), moved(2));
        let grant = here.take(Lock::named(&name));
        assert_eq!(there.look(&name), (Some(grant.token), 0), "{name}");
        let mut stranger = Speaker::open(at(2));
        let held = body(&stranger.lock(Lock::named(&name)));
        assert_eq!((held["locked"].as_bool(), held["error"].is_null()), (Some(false), true), "{name}: {held}");
        assert_eq!(body(&stranger.unlock(&name, &grant.key))["unlocked"], true, "a key is enough");
        assert_eq!(here.look(&name), (None, 0), "{name} was given back through another node");
        let again = body(&there.unlock(&name, &grant.key));
        assert_eq!(again["error"]["code"], "InvalidLockKey", "{name}: {again}");
        let kept = there.take(Lock::named(&name));
        let close = Ask { method: "DELETE", target: "/session", headers: &[], body: None };
        assert_eq!(there.ask(&close).status, 200);
        assert_eq!(moved(0).lock(Lock::named("other")).status, 401, "the session has ended elsewhere");
        assert!(granted(&stranger.lock(Lock::named(&name))).is_ok_and(|grant| grant.token > kept.token));
        assert_eq!(moved(1).ask(&close).status, 409, "it can end once only");
    }
}

#[test]
fn nodes_without_quorum_report_it_and_recover() {
    let _turn = turn();
    let mut fleet = Fleet::start(SIZE);
    for leader_stays in [true, false] {
        let leader = fleet.leader();
        let left = if leader_stays { leader } else { fleet.others(leader)[0] };
        let at = fleet.address(left);
        let mut speaker = Speaker::open(at);
        let name = format!("before-{leader_stays}");
        let grant = speaker.take(Lock::named(&name).leased(3600.0));
        let stopped: Vec<u64> = fleet.ids().into_iter().filter(|id| *id != left).collect();
        fleet.wait_for_holder(left, &name, grant.token);
        stopped.iter().for_each(|id| fleet.node(*id).kill());
        becomes_unready(at);
        for _ in 0..2 {
            refuses_everything(&mut speaker, &name);
        }
        assert_eq!(status(at, "/livez"), 200);
        assert_eq!(status(at, "/readyz"), 503);
        let stale = speaker.ask(&Ask::get(&format!("/v1/locks/{name}?consistency=stale")));
        assert_eq!(body(&stale)["holders"][0]["fencing_token"], json!(grant.token), "{}", stale.text());
        let view = fleet.ask(left, "/v1/cluster").expect("it is shown without a quorum");
        assert_eq!(view["has_quorum"], false, "{view}");
        stopped.iter().for_each(|id| fleet.start_node(*id));
        fleet.wait_until_ready();
        assert_eq!(speaker.look(&name), (Some(grant.token), 0), "{}", fleet.told());
        speaker.give_back(&name, &grant.key);
        assert_eq!(speaker.look("refused"), (None, 0), "what was refused was not done");
    }
}

fn status(at: SocketAddr, target: &str) -> u16 {
    let answer = Wire::new(at).send(&Ask::get(target), REFUSED_WITHIN);
    answer.unwrap_or_else(|silence| panic!("{target}: {silence}")).status
}

fn becomes_unready(at: SocketAddr) {
    let deadline = Instant::now() + UNREADY_WITHIN;
    while status(at, "/readyz") == 200 {
        assert!(Instant::now() < deadline, "ready without a quorum");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads, locks, releases and sessions are refused in time, each with `Retry-After`.
fn refuses_everything(speaker: &mut Speaker, held: &str) {
    let lock = json!({"name": "refused"});
    let unlock = json!({"name": held, "key": "00000000-0000-4000-8000-000000000000"});
    let read = format!("/v1/locks/{held}");
    let asks = [
        Ask::get(&read),
        Ask::post("/v1/lock", &lock),
        Ask::post("/v1/unlock", &unlock),
        Ask { method: "POST", target: "/session", headers: &[], body: None },
    ];
    for ask in asks {
        let began = Instant::now();
        let answer = speaker.ask(&ask);
        let (took, told) =
            (began.elapsed(), format!("{} {}: {} {}", ask.method, ask.target, answer.status, answer.text()));
        assert_eq!(answer.status, 503, "{told}");
        assert!(answer.header("retry-after").is_some(), "it was not done, and may be asked again: {told}");
        assert!(took <= REFUSED_WITHIN, "{took:?}: {told}");
        if ask.target == read {
            assert!(body(&answer)["type"].as_str().is_some_and(|kind| kind.ends_with("no-quorum")), "{told}");
        }
    }
}
