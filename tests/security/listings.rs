//! Listings are bounded in bytes, and cost little while nobody reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use latchd::dialects::raftlock::proto::{GetLocksRequest, GetLocksResponse};
use serde_json::json;

use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::frames::{connect_narrow, get_from, peak_memory};
use crate::support::grpc::GrpcClient;
use crate::support::process::Server;
use crate::support::spec::Spec;

const LOCKS: usize = 1_000;
const READERS: usize = 30;
const MIB: u64 = 1 << 20;
const MUCH: &str = "/v1/locks?limit=1000";

/// A server with many locks, each with almost 8 KiB of metadata.
fn filled(settings: &str) -> Server {
    let settings = format!("{settings}[locks]\nlock_unlock_ttl = \"1h\"\n");
    let server = Spec::in_memory().configuration(settings).start();
    let mut client = Client::plain(&server);
    let metadata: BTreeMap<String, String> =
        (0..32).map(|at| (format!("key-{at}"), format!("{at}").repeat(120))).collect();
    for at in 0..LOCKS {
        let body = json!({"resource": format!("lock-{at:04}"), "metadata": metadata}).to_string();
        assert_eq!(client.send("POST", "/lock", body.as_bytes()).status, 200);
    }
    server
}

/// Asks on so many connections, and reads no more than the beginning.
fn ask(server: &Server, target: &str) -> Vec<TcpStream> {
    let asked = (0..READERS).map(|_| {
        let mut stream = connect_narrow(server.http(), Ipv4Addr::LOCALHOST.into());
        write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("taken");
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).expect("an answer begins");
        assert_eq!(begin, *b"HTTP/1.1 200", "{target}");
        stream
    });
    asked.collect()
}

/// The beginning of what this address is told when it asks for much.
fn asked_from(server: &Server, last: u8, target: &str) -> String {
    let mut answer = get_from(server.http(), Ipv4Addr::new(127, 0, 0, last).into(), target, "");
    answer.truncate(700);
    answer
}

#[test]
fn unread_listings_cost_little_memory() {
    let server = filled("");
    let before = peak_memory(&server);
    let mut readers = ask(&server, MUCH);
    readers.extend(ask(&server, "/status"));
    readers.extend(ask(&server, "/v1/events?state=true"));
    readers.extend(ask(&server, "/v1/locks/lock-0001"));
    let grown = peak_memory(&server) - before;
    // Of four times as many readers, each with its connection.
    assert!(grown < 80 * MIB, "{} MiB more", grown / MIB);
}

#[test]
fn listing_page_is_bounded_in_bytes() {
    let server = filled("");
    let mut client = Client::plain(&server);
    let (mut seen, mut target, mut pages) = (Vec::new(), MUCH.to_owned(), 0);
    loop {
        let page = client.get(&target);
        assert!(page.body.len() < 2 << 20, "{} bytes", page.body.len());
        let page = page.json();
        let names = page["locks"].as_array().expect("locks").iter().map(|lock| lock["name"].to_string());
        seen.extend(names);
        pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        target = format!("/v1/locks?limit=1000&cursor={cursor}");
    }
    assert!(pages > 4 && seen.len() == LOCKS && seen.is_sorted(), "{pages} pages, {} locks", seen.len());
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), LOCKS);
}

#[test]
fn raftlock_page_fits_into_a_message() {
    let server = filled("");
    let client = GrpcClient::plain(&server);
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    loop {
        let offset = i32::try_from(seen.len()).expect("few");
        let asked = GetLocksRequest { limit: 1000, offset, ..GetLocksRequest::default() };
        let page: GetLocksResponse = client.call("/raftlock.RaftLock/GetLocks", asked).expect("below 4 MiB");
        assert_eq!(page.total_matching_filter, LOCKS as i32);
        seen.extend(page.locks.into_iter().map(|lock| lock.lock_id));
        pages += 1;
        if !page.has_more {
            break;
        }
    }
    assert!(pages > 4 && seen.len() == LOCKS, "{pages} pages, {} locks", seen.len());
}

#[test]
fn listings_that_are_not_read_are_bounded_for_each_address() {
    let server = filled("[server]\nlistings_max = 60\n");
    let readers = ask(&server, MUCH);
    let refused = asked_from(&server, 1, MUCH);
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("server.listings_max"), "{refused}");
    assert!(asked_from(&server, 1, "/v1/locks?limit=1").starts_with("HTTP/1.1 200"), "one that needs no place");
    assert!(asked_from(&server, 2, MUCH).starts_with("HTTP/1.1 200"), "another address");
    drop(readers);
    until("a place to be free", || asked_from(&server, 1, MUCH).starts_with("HTTP/1.1 200"));
}
