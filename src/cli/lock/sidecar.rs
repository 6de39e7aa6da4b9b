//! Tells other processes of this machine who leads: `GET /leader` over plain HTTP/1.1, one request for each connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::super::{Failure, output_queue};
use crate::client::clock::Moment;
use crate::client::{AcquiredLock, Client, ClientError, HoldStatus, Leader};

/// Further ones wait in the backlog of the socket.
const CONNECTIONS_MAX: usize = 32;
/// More than the head of any request that is meant for this.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long a connection may take, beside the lookup.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Sidecar {
    client: Client,
    name: String,
    /// The token and the status of this process's own lead.
    own: Mutex<Option<(u64, watch::Receiver<HoldStatus>)>>,
    /// The last answer of the service and until when nobody else is elected. Lookups wait for each other.
    known: tokio::sync::Mutex<Option<(Leader, Moment)>>,
}

/// What a side-car is told.
#[derive(Serialize)]
struct Answer<'a> {
    name: &'a str,
    /// Whether this process leads.
    leader: bool,
    value: Option<String>,
    fencing_token: Option<u64>,
    reliable_for_seconds: f64,
}

/// An address, or only a port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.contains(':') { text.to_owned() } else { format!("127.0.0.1:{text}") };
    full.parse().map_err(|_| "expected a port like 4040, or an address like 127.0.0.1:4040 or [::1]:4040".to_owned())
}

impl Sidecar {
    /// Listens, and answers as long as the runtime lives.
    pub async fn start(client: Client, name: &str, address: SocketAddr) -> Result<Arc<Sidecar>, Failure> {
        let refused = |error| Failure::config(format!("--serve: {address} cannot be listened on: {error}"));
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        if !bound.ip().is_loopback() {
            output_queue::note(format!("other machines can ask at http://{bound}/leader, without a credential"));
        }
        if address.port() == 0 {
            output_queue::note(format!("listening on http://{bound}/leader"));
        }
        let name = name.to_owned();
        let sidecar = Arc::new(Sidecar { client, name, own: Mutex::default(), known: tokio::sync::Mutex::default() });
        tokio::spawn(Arc::clone(&sidecar).accept(listener));
        Ok(sidecar)
    }

    /// This process leads, until the status says that it does not, or its sender is gone.
    pub fn begin(&self, hold: &AcquiredLock, status: &watch::Receiver<HoldStatus>) {
        *self.own.lock() = Some((hold.fencing_token, status.clone()));
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // No descriptor is left for now.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let sidecar = Arc::clone(&self);
            tokio::spawn(async move {
                // Whoever asked may have gone.
                let _ = sidecar.serve(stream).await;
                drop(place);
            });
        }
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let head = tokio::time::timeout(TIMEOUT, head(&mut stream)).await??;
        // A page of another site whose name leads here could read the answer.
        let is_for_us = !stream.local_addr()?.ip().is_loopback() || names_this_machine(&head);
        let text = match head.split_whitespace().take(3).collect::<Vec<_>>().as_slice() {
            [_, "/leader", _] if !is_for_us => {
                answer("421 Misdirected Request", "", r#"{"error":"Host must be an IP address or localhost"}"#)
            }
            ["GET", "/leader", _] => self.leader().await,
            [_, "/leader", _] => answer("405 Method Not Allowed", "Allow: GET\r\n", r#"{"error":"only GET"}"#),
            [_, _, version] if version.starts_with("HTTP/") => {
                answer("404 Not Found", "", r#"{"error":"only /leader is here"}"#)
            }
            _ => answer("400 Bad Request", "", r#"{"error":"this is no request"}"#),
        };
        tokio::time::timeout(TIMEOUT, stream.write_all(text.as_bytes())).await??;
        stream.shutdown().await
    }

    async fn leader(&self) -> String {
        let found = match tokio::time::timeout(TIMEOUT, self.look_up()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.unknown(&error.to_string()),
            Err(_) => return self.unknown("no answer in time"),
        };
        let (leader, until) = found.map_or((None, None), |(leader, until)| (Some(leader), Some(until)));
        let token = leader.as_ref().map(|leader| leader.fencing_token);
        let body = Answer {
            name: &self.name,
            leader: token.is_some_and(|token| self.leads_under(token)),
            value: leader.map(|leader| leader.value),
            fencing_token: token,
            reliable_for_seconds: until.map_or(0.0, Moment::seconds_left),
        };
        answer("200 OK", "", &serde_json::to_string(&body).expect("our own answers are JSON"))
    }

    fn unknown(&self, why: &str) -> String {
        let body = serde_json::json!({ "name": self.name, "error": why });
        answer("503 Service Unavailable", "", &body.to_string())
    }

    /// The last answer as long as nobody else can be elected, then the next.
    async fn look_up(&self) -> Result<Option<(Leader, Moment)>, ClientError> {
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|(_, until)| until.has_come()) {
            *known = self.client.leader(&self.name).await?;
        }
        Ok(known.clone())
    }

    fn leads_under(&self, token: u64) -> bool {
        let own = self.own.lock();
        own.as_ref().is_some_and(|(own, status)| {
            let is_kept = status.has_changed().is_ok();
            *own == token && is_kept && matches!(*status.borrow(), HoldStatus::Held { until, .. } if !until.has_come())
        })
    }
}

/// The head of a request, or what there is of it.
async fn head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(&piece[..count]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Whether the `Host` of a request, if it has one, is an address or `localhost`, and no name that anybody can register.
fn names_this_machine(head: &str) -> bool {
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let mut hosts = fields.filter(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.trim());
    hosts.all(|host| {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    })
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let fixed = "Content-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\n";
    format!("HTTP/1.1 {status}\r\n{fixed}{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_of_another_name_is_not_this_machine() {
        for host in ["127.0.0.1:4040", "localhost", "LocalHost:4040", "[::1]:4040", "[::1]"] {
            assert!(names_this_machine(&format!("GET /leader HTTP/1.1\r\nHost: {host}\r\n\r\n")), "{host}");
        }
        assert!(names_this_machine("GET /leader HTTP/1.0\r\n\r\n"), "a request without Host comes from no browser");
        for host in ["evil.example:4040", "localhost.evil.example", "", "127.0.0.1.evil.example"] {
            assert!(!names_this_machine(&format!("GET /leader HTTP/1.1\r\nhost: {host}\r\n\r\n")), "{host}");
        }
    }

    #[test]
    fn port_alone_means_this_machine() {
        assert_eq!(address("4040"), Ok(SocketAddr::from(([127, 0, 0, 1], 4040))));
        assert_eq!(address("10.0.0.7:4040").map(|address| address.to_string()), Ok("10.0.0.7:4040".to_owned()));
        for wrong in ["", "x", "70000", "localhost:4040", "10.0.0.7"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
