//! A lean client connection, and HTTP/1.1 over it: one write per request, one buffer per answer, nothing allocated in
//! the loop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::servers::Transport;
use crate::support::certificate;

/// One keep-alive connection.
pub struct Wire {
    stream: Stream,
    received: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// An answer, borrowed from the connection's buffer.
pub struct Answer<'a> {
    pub status: u16,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

impl Wire {
    /// Connects for HTTP/1.1.
    pub async fn connect(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        Self::connect_for(address, transport, b"http/1.1").await
    }

    /// Connects for the protocol of this name, which TLS negotiates.
    pub async fn connect_for(address: SocketAddr, transport: Transport, protocol: &[u8]) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let stream = match transport {
            Transport::Plain => Stream::Plain(socket),
            Transport::Tls => {
                let name = ServerName::try_from("localhost").expect("localhost is a name");
                let mut config = rustls::ClientConfig::clone(&certificate::client_config());
                config.alpn_protocols = vec![protocol.to_vec()];
                let connector = TlsConnector::from(Arc::new(config));
                Stream::Tls(Box::new(connector.connect(name, socket).await?))
            }
        };
        Ok(Self { stream, received: Vec::with_capacity(4096) })
    }

    /// Sends one request and reads its answer.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.write(request).await?;
        self.received.clear();
        let (head, length) = loop {
            self.read_some().await?;
            if let Some(head) = find(&self.received, b"\r\n\r\n") {
                break (head + 4, content_length(&self.received[..head + 2])?);
            }
        };
        while self.received.len() < head + length {
            self.read_some().await?;
        }
        let status = self.received.get(9..12).and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
        let status = status.ok_or_else(|| malformed("no status"))?;
        Ok(Answer { status, head: &self.received[..head], body: &self.received[head..head + length] })
    }

    /// Sends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// What was received and not taken out yet.
    pub fn received(&mut self) -> &mut Vec<u8> {
        &mut self.received
    }

    /// Receives at least one byte more.
    pub async fn read_some(&mut self) -> io::Result<()> {
        let count = match &mut self.stream {
            Stream::Plain(socket) => socket.read_buf(&mut self.received).await?,
            Stream::Tls(stream) => stream.read_buf(&mut self.received).await?,
        };
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Where a short text starts in a longer one.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The number behind `content-length:`, whatever the case of its letters.
fn content_length(head: &[u8]) -> io::Result<usize> {
    let name = b"\r\ncontent-length:";
    let at = head.windows(name.len()).position(|window| window.eq_ignore_ascii_case(name));
    let after = &head[at.ok_or_else(|| malformed("no content-length"))? + name.len()..];
    let end = after.iter().position(|byte| *byte == b'\r').unwrap_or(after.len());
    let text = std::str::from_utf8(&after[..end]).ok().map(str::trim);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| malformed("a bad content-length"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has {what}"))
}
