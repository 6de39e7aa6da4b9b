//! A stream of server-sent events, read block by block.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde_json::Value;

use super::certificate;

/// No test waits longer for an event.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Events {
    stream: BufReader<Box<dyn Read>>,
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What was unpacked of the body and not taken yet.
    text: String,
}

/// One block: the lines up to an empty one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<Value>,
    pub comment: bool,
}

impl Events {
    /// Asks for `target`, with further header lines.
    pub fn open(address: SocketAddr, target: &str, headers: &[&str]) -> Events {
        Events::over(TcpStream::connect(address).expect("the server listens"), target, headers)
    }

    /// The same over TLS.
    pub fn open_tls(address: SocketAddr, target: &str, headers: &[&str]) -> Events {
        let socket = TcpStream::connect(address).expect("the server listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        let name = ServerName::try_from("localhost").expect("localhost is a name");
        let session = rustls::ClientConnection::new(certificate::client_config(), name).expect("a configuration");
        Events::asked(rustls::StreamOwned::new(session, socket), target, headers)
    }

    /// The same on a socket that the test has opened.
    pub fn over(socket: TcpStream, target: &str, headers: &[&str]) -> Events {
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        Events::asked(socket, target, headers)
    }

    fn asked(mut socket: impl Read + Write + 'static, target: &str, headers: &[&str]) -> Events {
        let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let request = format!("GET {target} HTTP/1.1\r\nhost: t\r\n{more}\r\n");
        socket.write_all(request.as_bytes()).expect("the request can be sent");
        let mut stream: BufReader<Box<dyn Read>> = BufReader::new(Box::new(socket));
        let status = line(&mut stream).split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut headers = Vec::new();
        while let Some((name, value)) = line(&mut stream).split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Events { stream, status, headers, text: String::new() }
    }

    /// The next block; `None` at the end of the stream.
    pub fn block(&mut self) -> Option<Block> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (parse(block), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    /// The next event, heartbeats aside: what it is, and its data.
    pub fn event(&mut self) -> (String, Value) {
        loop {
            let block = self.block().expect("the stream goes on");
            if let (Some(event), Some(data)) = (block.event, block.data) {
                assert_eq!(data["event"], event, "the data says what it is");
                assert!(data["id"].is_null() || data["id"].as_str() == block.id.as_deref(), "{data}");
                return (event, data);
            }
        }
    }

    /// The next event, which must be this one.
    pub fn expect(&mut self, kind: &str) -> Value {
        let (event, data) = self.event();
        assert_eq!(event, kind, "{data}");
        data
    }

    fn chunk(&mut self) -> Option<String> {
        let size = usize::from_str_radix(line(&mut self.stream).trim(), 16).ok().filter(|size| *size > 0)?;
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).ok()?;
        bytes.truncate(size);
        Some(String::from_utf8(bytes).expect("events are UTF-8"))
    }
}

fn line(stream: &mut impl BufRead) -> String {
    let mut line = String::new();
    // A connection that is cut ends what it said.
    let _ = stream.read_line(&mut line);
    line.trim_end().to_owned()
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "id" => block.id = Some(value.to_owned()),
            "event" => block.event = Some(value.to_owned()),
            "data" => block.data = Some(serde_json::from_str(value).expect("JSON")),
            "retry" => {}
            "" => block.comment = true,
            other => panic!("{other:?} is no field of an event"),
        }
    }
    block
}
