//! A client of the Redis protocol: sends commands, or any bytes, and reads answers of RESP2 and RESP3.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::process::Server;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(String),
    Nil,
    Array(Vec<Reply>),
}

pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

/// The bytes of one command.
pub fn encoded(arguments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// The script that deletes a key with this value.
pub const RELEASE: &str =
    "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end";

impl RedisClient {
    pub fn new(server: &Server) -> RedisClient {
        RedisClient::at(server.redis())
    }

    pub fn at(address: SocketAddr) -> RedisClient {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.set_nodelay(true).expect("set");
        RedisClient { stream: BufReader::new(stream) }
    }

    /// The same, identified by this secret.
    pub fn with_key(server: &Server, secret: &str) -> RedisClient {
        let mut client = RedisClient::new(server);
        assert_eq!(client.ask(&["AUTH", secret]), Reply::Status("OK".to_owned()));
        client
    }

    /// One command, and its answer.
    pub fn ask(&mut self, arguments: &[&str]) -> Reply {
        let bytes: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        self.send(&encoded(&bytes));
        self.read().expect("an answer")
    }

    /// The text of the error that a command is refused with.
    pub fn refused(&mut self, arguments: &[&str]) -> String {
        match self.ask(arguments) {
            Reply::Error(text) => text,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("sent");
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Whether the server has closed the connection, and sent nothing more before.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0))
    }

    pub fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (kind, rest) = line.trim_end_matches("\r\n").split_at(1);
        let number = || rest.parse::<i64>().unwrap_or_else(|_| panic!("no number in {line:?}"));
        Ok(match kind {
            "+" => Reply::Status(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()),
            "_" => Reply::Nil,
            "$" if number() < 0 => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; number() as usize + 2];
                self.stream.read_exact(&mut bytes)?;
                Reply::Bulk(String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned())
            }
            "*" => Reply::Array((0..number()).map(|_| self.read()).collect::<io::Result<_>>()?),
            "%" => Reply::Array((0..2 * number()).map(|_| self.read()).collect::<io::Result<_>>()?),
            _ => panic!("no answer: {line:?}"),
        })
    }
}
