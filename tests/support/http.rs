//! A blocking HTTP/1.1 connection raw enough to send what no decent client would.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;

use super::certificate;

/// No answer of the server may take longer than this, its longest wait in the tests included.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// One keep-alive connection, plaintext or TLS.
pub struct Connection {
    stream: BufReader<Transport>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects in plaintext.
    pub fn plain(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: BufReader::new(Transport::Plain(connect(address)?)) })
    }

    /// Connects over TLS, trusting only the tests' own certificate.
    pub fn tls(address: SocketAddr) -> io::Result<Self> {
        Self::tls_with(address, certificate::client_config())
    }

    /// Connects over TLS with a configuration of the test's own.
    pub fn tls_with(address: SocketAddr, config: std::sync::Arc<rustls::ClientConfig>) -> io::Result<Self> {
        Self::tls_on(connect(address)?, config)
    }

    /// Speaks TLS on a socket that the test has opened, with the time limits that it has set.
    pub fn tls_over(socket: TcpStream) -> io::Result<Self> {
        Self::tls_on(socket, certificate::client_config())
    }

    fn tls_on(socket: TcpStream, config: std::sync::Arc<rustls::ClientConfig>) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").expect("localhost is a name");
        let session = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
        let stream = rustls::StreamOwned::new(session, socket);
        Ok(Self { stream: BufReader::new(Transport::Tls(Box::new(stream))) })
    }

    /// The socket, to close it half or whole, or to give it another timeout.
    pub fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &stream.sock,
        }
    }

    /// Closes the TCP connection at once, also under TLS.
    pub fn close(self) {
        // It fails only when the other side was first.
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Sends these bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Sends a request with a `Content-Length`, and reads the answer.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.send(&encode(method, target, headers, body))?;
        self.receive(method == "HEAD")
    }

    /// Reads one answer; `head` says that it has no body whatever its headers say.
    pub fn receive(&mut self, head: bool) -> io::Result<Response> {
        let status_line = self.line()?;
        let status = parse_status(&status_line)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut response = Response { status, headers, body: Vec::new() };
        if !head && status != 204 && status != 304 {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.chunks();
        }
        let mut body = Vec::new();
        match response.header("content-length") {
            Some(text) => {
                body.resize(text.parse().map_err(|_| malformed(text))?, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => {
                self.stream.read_to_end(&mut body)?;
            }
        }
        Ok(body)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = usize::from_str_radix(line.trim(), 16).map_err(|_| malformed(&line))?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..])?;
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// The bytes of a request, for tests that send them in pieces or many at once.
pub fn encode(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// An answer, its header names in lower case.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value that this answer sets for a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .filter(|(header, _)| header == "set-cookie")
            .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
            .find(|(found, _)| found.trim() == name)
            .map(|(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the whole answer when it is not.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?} {}", self.text()))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    Ok(socket)
}

fn parse_status(line: &str) -> io::Result<u16> {
    line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| malformed(line))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed answer: {what:?}"))
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
