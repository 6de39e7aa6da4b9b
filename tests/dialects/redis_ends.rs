//! Clients of the Redis protocol that end the connection, or their side of it, before they have read the answers.

use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::process::Server;
use crate::support::redis::{RELEASE, RedisClient, Reply, encoded};
use crate::support::spec::Spec;
use std::net::Shutdown;

const NAMES: [&str; 3] = ["a", "b", "c"];

fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

/// One byte sequence of many commands.
fn pipeline(commands: &[&[&str]]) -> Vec<u8> {
    let of = |command: &&[&str]| encoded(&command.iter().map(|argument| argument.as_bytes()).collect::<Vec<_>>());
    commands.iter().flat_map(of).collect()
}

/// The releases of all names, between commands that take two others.
fn releases() -> Vec<u8> {
    let release = |name| ["EVAL", RELEASE, "1", name, "v"];
    let (first, second, third) = (release(NAMES[0]), release(NAMES[1]), release(NAMES[2]));
    pipeline(&[&["SET", "own-1", "v", "NX"], &first, &second, &["SETNX", "own-2", "v"], &third])
}

/// Sends the releases while the server stands still, ends the connection by dropping the client, and expects that what it
/// has released is free and what it would have taken too.
fn expect_releases(server: &Server, redis: &mut RedisClient, mut client: RedisClient) {
    for name in NAMES {
        assert_eq!(redis.ask(&["SET", name, "v", "NX"]), ok());
    }
    server.freeze_whole();
    client.send(&releases());
    drop(client);
    server.thaw();
    let mut is_free = |names: &[&str]| redis.ask(&[&["EXISTS"][..], names].concat()) == Reply::Integer(0);
    until("the releases to be carried out", || is_free(&NAMES));
    until("the grants to be given up", || is_free(&["own-1", "own-2"]));
}

#[test]
fn releases_of_a_client_that_closes_are_carried_out_and_its_grants_given_up() {
    let server = Spec::in_memory().redis().start();
    let mut redis = RedisClient::new(&server);
    let mut client = RedisClient::new(&server);
    assert_eq!(client.ask(&["PING"]), Reply::Status("PONG".to_owned()));
    expect_releases(&server, &mut redis, client);
    // Closed with an unread answer, a connection is reset.
    let mut client = RedisClient::new(&server);
    client.send(&pipeline(&[&["PING"]]));
    assert_eq!(client.socket().peek(&mut [0]).expect("an answer"), 1);
    expect_releases(&server, &mut redis, client);
}

#[test]
fn client_that_ends_its_side_gets_all_answers_and_keeps_its_grants() {
    const COMMANDS: usize = 2000;
    let server = Spec::in_memory().redis().start();
    let mut client = RedisClient::new(&server);
    let names: Vec<String> = (0..COMMANDS).map(|at| at.to_string()).collect();
    let commands: Vec<_> = names.iter().map(|name| ["SET", name, "v", "NX"]).collect();
    server.freeze_whole();
    // Nothing of the last command is answered, because it has not arrived whole.
    client.send(
        &[pipeline(&commands.iter().map(|command| &command[..]).collect::<Vec<_>>()), b"*1\r\n$4\r\nPI".to_vec()]
            .concat(),
    );
    client.socket().shutdown(Shutdown::Write).expect("shut");
    server.thaw();
    for name in &names {
        assert_eq!(client.read().expect("an answer"), ok(), "{name}");
    }
    assert!(client.is_closed());
    let mut redis = RedisClient::new(&server);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Once more after whatever might give them up.
    for _ in 0..2 {
        for part in names.chunks(100) {
            assert_eq!(redis.ask(&[&["EXISTS"][..], part].concat()), Reply::Integer(part.len() as i64));
        }
        drop(RedisClient::new(&server));
    }
}

/// More than the server reads at once stands between the grant and the end of the connection.
#[test]
fn grant_before_a_long_pipeline_of_a_client_that_closes_is_given_up() {
    let server = Spec::in_memory().redis().configuration("[redis]\ncommand_bytes_max = \"4KiB\"\n").start();
    let mut client = RedisClient::new(&server);
    assert_eq!(client.ask(&["PING"]), Reply::Status("PONG".to_owned()));
    let own = ["SET", "own", "v", "NX"];
    server.freeze_whole();
    client.send(&pipeline(&[&[&own[..]], &vec![&["PING"][..]; 2000][..]].concat()));
    drop(client);
    server.thaw();
    let mut http = Client::plain(&server);
    let given_up = "latchd_undelivered_grants_total 1";
    until("the grant to be given up", || http.get("/metrics").text().lines().any(|line| line == given_up));
    until("the lock to be free", || http.get("/v1/locks/own").status == 404);
}
