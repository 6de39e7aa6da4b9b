//! One HTTPS connection to one node, with a time limit for everything: a node here may be frozen or cut off.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::{Connection, Response};

/// The admin credential of every node under test here.
pub const API_KEY: &str = "cluster-key-0123456789abcdef";
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

pub struct Wire {
    address: SocketAddr,
    connection: Option<Connection>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Silence {
    /// No connection came about: nothing was asked.
    NotSent(io::Error),
    /// The outcome is unknown.
    Lost(io::Error),
}

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) => write!(f, "not sent: {error}"),
            Self::Lost(error) => write!(f, "lost: {error}"),
        }
    }
}

/// A request without its target.
pub struct Ask<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: Option<&'a Value>,
}

impl<'a> Ask<'a> {
    pub fn get(target: &'a str) -> Self {
        Self { method: "GET", target, headers: &[], body: None }
    }

    pub fn post(target: &'a str, body: &'a Value) -> Self {
        Self { method: "POST", target, headers: &[], body: Some(body) }
    }
}

impl Wire {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends a request and reads its answer.
    pub fn send(&mut self, ask: &Ask<'_>, within: Duration) -> Result<Response, Silence> {
        let deadline = Instant::now() + within;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let socket = connect(self.address, within.min(CONNECT_WITHIN)).map_err(Silence::NotSent)?;
                Connection::tls_over(socket).map_err(Silence::NotSent)?
            }
        };
        self.exchange(connection, ask, deadline).map_err(Silence::Lost)
    }

    fn exchange(&mut self, mut connection: Connection, ask: &Ask<'_>, deadline: Instant) -> io::Result<Response> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        connection.socket().set_read_timeout(Some(left))?;
        let mut headers = vec![("X-API-Key", API_KEY)];
        headers.extend_from_slice(ask.headers);
        let body = ask.body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            headers.push(("Content-Type", "application/json"));
        }
        let response = connection.request(ask.method, ask.target, &headers, body.as_bytes())?;
        if !response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Whether the next request goes over the same connection.
    pub fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    /// Closes the connection, as a client does that gives up.
    pub fn close(&mut self) {
        self.connection = None;
    }
}

fn connect(address: SocketAddr, within: Duration) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address, within)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(within))?;
    Ok(socket)
}
