//! A plaintext HTTP/2 connection whose frames are made by hand, and what a process keeps for it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use super::process::Server;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

const PATIENCE: Duration = Duration::from_secs(60);

/// A connection from a chosen address of this machine.
pub fn connect_from(server: SocketAddr, from: IpAddr) -> TcpStream {
    connect(server, from, None)
}

/// The same with so little room for what is not read that the server notices it.
pub fn connect_narrow(server: SocketAddr, from: IpAddr) -> TcpStream {
    connect(server, from, Some(4096))
}

fn connect(server: SocketAddr, from: IpAddr, receive_buffer: Option<usize>) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).expect("a size");
    }
    socket.bind(&SocketAddr::from((from, 0)).into()).expect("127.0.0.0/8 is this machine's");
    socket.connect(&server.into()).expect("the server listens");
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// What `GET path` is answered on a connection of its own from this address, head and body. `fields` are lines.
pub fn get_from(server: SocketAddr, from: IpAddr, path: &str, fields: &str) -> String {
    let mut stream = connect_from(server, from);
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n");
    let mut answer = String::new();
    // An answer that comes before the request is read ends the connection under it.
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The connection.
pub struct Raw(TcpStream);

impl Raw {
    /// Opens it from this machine's usual address.
    pub fn open(server: &Server) -> Raw {
        let mut raw = Raw(connect_from(server.http(), [127, 0, 0, 1].into()));
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.send(&frame(SETTINGS, 0, 0, &[]));
        raw
    }

    pub fn send(&mut self, frames: &[u8]) {
        self.try_send(frames).expect("the server reads");
    }

    pub fn try_send(&mut self, frames: &[u8]) -> std::io::Result<()> {
        self.0.write_all(frames)
    }

    /// The next frame: its kind, flags, stream and payload. `None` once the server has closed the connection.
    pub fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// Waits until the server has taken all that was sent; how many streams it has answered meanwhile.
    pub fn settle(&mut self) -> u32 {
        self.send(&frame(PING, 0, 0, &[7; 8]));
        let mut answered = 0;
        loop {
            match self.next().expect("the connection stays") {
                (PING, ACK, ..) => return answered,
                (HEADERS, ..) => answered += 1,
                _ => {}
            }
        }
    }

    /// Reads whatever comes, in a thread of its own, so that nothing that is sent waits for it.
    ///
    /// Tells whether the server has ended the connection.
    pub fn drain(&self) -> JoinHandle<bool> {
        let mut stream = self.0.try_clone().expect("a second handle");
        std::thread::spawn(move || match std::io::copy(&mut stream, &mut std::io::sink()) {
            Ok(_) => true,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        })
    }

    /// How long a read may take.
    pub fn patience(&self, patience: Duration) {
        self.0.set_read_timeout(Some(patience)).expect("a timeout");
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The header block of a gRPC call with so many further fields of one byte each, which the first call puts into the
/// table of the connection.
pub fn call(path: &str, fields: usize, first: bool) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let literal = |block: &mut Vec<u8>, name: &[u8], text: &str| {
        block.extend(name);
        block.push(u8::try_from(text.len()).expect("short"));
        block.extend(text.as_bytes());
    };
    literal(&mut block, &[0x04], path);
    literal(&mut block, &[0x01], "localhost");
    literal(&mut block, &[0x0f, 0x10], "application/grpc");
    if fields > 0 && first {
        block.extend([0x40, 1, b'x', 1, b'y']);
        block.extend(vec![0xbe; fields - 1]);
    } else {
        block.extend(vec![0xbe; fields]);
    }
    block
}

/// The most memory that the process has had, in bytes.
pub fn peak_memory(server: &Server) -> u64 {
    memory(server, "VmHWM:")
}

/// The memory that the process has now, in bytes.
pub fn resident_memory(server: &Server) -> u64 {
    memory(server, "VmRSS:")
}

fn memory(server: &Server, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}
