//! A client that keeps one connection, its headers and its cookies; it knows no dialect.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::http::{Connection, Response};
use super::process::Server;

/// Which of the server's listeners a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Plain,
    Tls,
}

/// One client with one connection, opened at its first request and again after it was closed.
pub struct Client {
    address: SocketAddr,
    wire: Wire,
    /// With a certificate of its own, in place of the usual one of TLS.
    tls: Option<Arc<rustls::ClientConfig>>,
    headers: Vec<(String, String)>,
    cookies: Vec<(String, String)>,
    connection: Option<Connection>,
}

impl Client {
    /// A client of the TLS listener.
    pub fn tls(server: &Server) -> Self {
        Self::new(server, Wire::Tls)
    }

    /// A client of the plaintext listener.
    pub fn plain(server: &Server) -> Self {
        Self::new(server, Wire::Plain)
    }

    /// A client of the chosen listener.
    pub fn new(server: &Server, wire: Wire) -> Self {
        Self::at(address_of(server, wire), wire)
    }

    /// A client of this address.
    pub fn at(address: SocketAddr, wire: Wire) -> Self {
        Self { address, wire, tls: None, headers: Vec::new(), cookies: Vec::new(), connection: None }
    }

    /// A client of the TLS listener that shows a certificate.
    pub fn with_certificate(server: &Server, tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls: Some(tls), ..Self::tls(server) }
    }

    /// Sends this header with every request.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Goes on with the same headers and cookies against a restarted server.
    pub fn move_to(&mut self, server: &Server) {
        self.address = address_of(server, self.wire);
        self.connection = None;
    }

    /// The value of a cookie that the server has set.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Sets a cookie, as a browser would after an answer that sets it.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Sends a request; panics when no answer arrives.
    pub fn send(&mut self, method: &str, target: &str, body: &[u8]) -> Response {
        self.try_send(method, target, body).unwrap_or_else(|error| panic!("{method} {target} got no answer: {error}"))
    }

    /// Sends a request; an error means that its outcome is unknown.
    pub fn try_send(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Response> {
        self.try_send_with(method, target, &[], body)
    }

    /// The same with headers of this request alone.
    pub fn try_send_with(
        &mut self,
        method: &str,
        target: &str,
        own: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let result = self.exchange(method, target, own, body);
        match &result {
            Ok(response) => self.keep_cookies(response),
            Err(_) => self.connection = None,
        }
        result
    }

    pub fn get(&mut self, target: &str) -> Response {
        self.send("GET", target, b"")
    }

    pub fn delete(&mut self, target: &str) -> Response {
        self.send("DELETE", target, b"")
    }

    /// Posts a JSON body.
    pub fn post(&mut self, target: &str, body: &serde_json::Value) -> Response {
        self.send("POST", target, body.to_string().as_bytes())
    }

    fn exchange(&mut self, method: &str, target: &str, own: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.extend_from_slice(own);
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            headers.push(("Content-Type", "application/json"));
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let response = connection.request(method, target, &headers, body)?;
        if !response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    fn connect(&self) -> io::Result<Connection> {
        match (self.wire, &self.tls) {
            (Wire::Plain, _) => Connection::plain(self.address),
            (Wire::Tls, None) => Connection::tls(self.address),
            (Wire::Tls, Some(tls)) => Connection::tls_with(self.address, Arc::clone(tls)),
        }
    }

    fn keep_cookies(&mut self, response: &Response) {
        let set: Vec<(String, String)> = response
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
            .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
            .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
            .collect();
        for (name, value) in set {
            self.set_cookie(&name, &value);
        }
    }
}

fn address_of(server: &Server, wire: Wire) -> SocketAddr {
    match wire {
        Wire::Plain => server.http(),
        Wire::Tls => server.https(),
    }
}
