//! What the server says about itself.

use super::client::Client;
use super::commands::Command;
use super::reply::{Protocol, Reply};
use super::request::Request;
use crate::base::clock;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of Redis whose commands these are: libraries choose by it what they send.
const REDIS_VERSION: &str = "7.2.0";

pub fn hello(client: &Client) -> Reply {
    let number = match client.protocol {
        Protocol::Resp2 => 2,
        Protocol::Resp3 => 3,
    };
    let pairs = [
        ("server", Reply::text("latchd")),
        ("version", Reply::text(REDIS_VERSION)),
        ("proto", Reply::Integer(number)),
        ("id", Reply::Integer(client.id as i64)),
        ("mode", Reply::text("standalone")),
        ("role", Reply::text("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Reply::Map(pairs.into_iter().map(|(name, value)| (Reply::text(name), value)).collect())
}

pub fn info() -> Reply {
    Reply::text(format!(
        "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\nlatchd_version:{VERSION}\r\n\
         # Persistence\r\nloading:0\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
    ))
}

/// Details of commands are not served: shells do without.
pub fn commands(request: &Request<'_>) -> Reply {
    if request.get(1).eq_ignore_ascii_case(b"COUNT") {
        Reply::Integer(Command::count())
    } else {
        Reply::Array(Vec::new())
    }
}

/// Seconds since 1970, and microseconds.
pub fn time() -> Reply {
    let now = clock::unix_time();
    Reply::Array(vec![Reply::text(now.as_secs().to_string()), Reply::text(now.subsec_micros().to_string())])
}
