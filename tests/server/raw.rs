//! One connection, byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::rig::PATIENCE;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection and the bytes read from it that nobody asked for yet.
pub struct Raw {
    wire: Box<dyn Wire>,
    buffer: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Raw {
    pub async fn plain(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("a connection"))
    }

    /// A connection over an open stream.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("the option is known");
        Self { wire: Box::new(stream), buffer: Vec::new() }
    }

    pub async fn tls(address: SocketAddr, config: Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        Self::tls_over(TcpStream::connect(address).await?, config).await
    }

    /// A TLS connection over an open stream.
    pub async fn tls_over(stream: TcpStream, config: Arc<rustls::ClientConfig>) -> std::io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("a name");
        let wire = timeout(PATIENCE, TlsConnector::from(config).connect(name, stream)).await.expect("in time")?;
        Ok(Self { wire: Box::new(wire), buffer: Vec::new() })
    }

    /// Sends bytes; whether the peer takes them all is for the test to see in the answer.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.try_send(bytes).await;
    }

    /// Sends bytes; an error means that the peer has closed before it took them all.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let all = async {
            self.wire.write_all(bytes.as_ref()).await?;
            self.wire.flush().await
        };
        timeout(PATIENCE, all).await.expect("the peer reads or closes")
    }

    /// `GET path` on a connection that stays open.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        self.answer().await
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Answer {
        self.try_answer().await.expect("an answer before the end of the connection")
    }

    /// The next answer, or none when the connection ends or breaks before it.
    pub async fn try_answer(&mut self) -> Option<Answer> {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None if self.fill().await == 0 => return None,
                None => {}
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().expect("a length"));
        while self.buffer.len() < end + length {
            if self.fill().await == 0 {
                return None;
            }
        }
        let body = String::from_utf8_lossy(&self.buffer[end..end + length]).into_owned();
        self.buffer.drain(..end + length);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Some(Answer { status, head, body })
    }

    /// Reads up to `end` and throws it away.
    pub async fn until(&mut self, end: &str) {
        let end = end.as_bytes();
        let at = loop {
            match self.buffer.windows(end.len()).position(|window| window == end) {
                Some(at) => break at,
                None => assert_ne!(self.fill().await, 0, "the connection ended before {end:?}"),
            }
        };
        self.buffer.drain(..at + end.len());
    }

    /// Waits until the peer closes; what it still sends is returned.
    pub async fn until_closed(&mut self) -> String {
        while self.fill().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned()
    }

    async fn fill(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let read = timeout(PATIENCE, self.wire.read(&mut chunk)).await.expect("an answer or an end in time");
        // A reset is an end too.
        let read = read.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..read]);
        read
    }
}
