//! A client of `ldlm.LDLM`: its messages are templates in which only the name and the key change, and its header blocks
//! name what the first calls have put into the server's table, as gRPC clients do.

use std::io;
use std::net::SocketAddr;

use crate::http2::Http2;
use crate::servers::{API_KEY, Transport};
use crate::session::{Key, NAME_BYTES, Numbers, name};

const KEY_BYTES: usize = size_of::<Key>();

/// A message's flag and length before it.
const PREFIX_BYTES: usize = 5;
/// Where the name is, behind its tag and its length; and where the key is, behind those of its own.
const NAME_AT: usize = PREFIX_BYTES + 2;
const KEY_AT: usize = NAME_AT + NAME_BYTES + 2;
/// `lock_timeout_seconds` (100) of 600.
const LEASE: [u8; 4] = [0xa0, 0x06, 0xd8, 0x04];

/// Where a grant has its key: after `locked` (1), `name` (2) and the tag and length of `key` (3).
const GRANTED_KEY_AT: usize = PREFIX_BYTES + 2 + 2 + NAME_BYTES + 2;
/// `locked` or `unlocked`, both field 1, set.
const YES: [u8; 2] = [0x08, 0x01];

/// Entries of HPACK's static table.
const POST: u8 = 0x83;
const HTTP: u8 = 0x86;
const HTTPS: u8 = 0x87;
/// What the first two calls leave in the table: the path of each of them, and what all calls have in common.
const TRY_LOCK_PATH: u8 = 0x80 | 67;
const UNLOCK_PATH: u8 = 0x80 | 62;
const IN_COMMON: [u8; 4] = [0x80 | 66, 0x80 | 65, 0x80 | 64, 0x80 | 63];

/// One client: a connection, which is its session, and the two calls that it repeats.
pub struct Ldlm {
    connection: Http2,
    try_lock: Call,
    unlock: Call,
}

struct Call {
    header_block: Vec<u8>,
    message: Vec<u8>,
}

impl Ldlm {
    /// Connects, and makes each call once so that the server knows the headers of all further ones.
    pub async fn connect(address: SocketAddr, transport: Transport) -> io::Result<Self> {
        let scheme = if transport == Transport::Tls { HTTPS } else { HTTP };
        let head = |rest: &[&[u8]]| [&[POST, scheme], rest.concat().as_slice()].concat();
        let new_to_all = new_headers();
        let mut client = Self {
            connection: Http2::connect(address, transport).await?,
            try_lock: Call {
                header_block: head(&[&new_path("/ldlm.LDLM/TryLock"), &new_to_all]),
                message: message(&[&[0x0a, NAME_BYTES as u8], &[0; NAME_BYTES], &LEASE]),
            },
            unlock: Call {
                header_block: head(&[&new_path("/ldlm.LDLM/Unlock"), &IN_COMMON]),
                message: message(&[
                    &[0x0a, NAME_BYTES as u8],
                    &[0; NAME_BYTES],
                    &[0x12, KEY_BYTES as u8],
                    &[0; KEY_BYTES],
                ]),
            },
        };
        let first = name("open", Numbers::of_client(0).next());
        let key = client.try_lock(&first).await?;
        client.unlock(&first, &key).await?;
        client.try_lock.header_block = head(&[&[TRY_LOCK_PATH], &IN_COMMON]);
        client.unlock.header_block = head(&[&[UNLOCK_PATH], &IN_COMMON]);
        Ok(client)
    }

    /// Takes a free lock; an error when it is not granted.
    pub async fn try_lock(&mut self, name: &[u8; NAME_BYTES]) -> io::Result<Key> {
        let Call { header_block, message } = &mut self.try_lock;
        message[NAME_AT..][..NAME_BYTES].copy_from_slice(name);
        let answer = self.connection.exchange(header_block, message).await?;
        let key = answer.get(GRANTED_KEY_AT..).and_then(<[u8]>::first_chunk);
        key.filter(|_| says_yes(answer)).copied().ok_or_else(|| unexpected(answer))
    }

    /// Gives a lock back; an error when it was not held under this key.
    pub async fn unlock(&mut self, name: &[u8; NAME_BYTES], key: &Key) -> io::Result<()> {
        let Call { header_block, message } = &mut self.unlock;
        message[NAME_AT..][..NAME_BYTES].copy_from_slice(name);
        message[KEY_AT..].copy_from_slice(key);
        let answer = self.connection.exchange(header_block, message).await?;
        if says_yes(answer) { Ok(()) } else { Err(unexpected(answer)) }
    }
}

fn message(fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let mut message = vec![0, 0, 0, 0, u8::try_from(fields.len()).expect("a short message")];
    message.extend(fields);
    message
}

fn says_yes(answer: &[u8]) -> bool {
    answer.get(PREFIX_BYTES..).is_some_and(|message| message.starts_with(&YES))
}

fn unexpected(answer: &[u8]) -> io::Error {
    io::Error::other(format!("unexpected answer: {}", String::from_utf8_lossy(answer)))
}

/// A path that goes into the table.
fn new_path(path: &str) -> Vec<u8> {
    [&[0x44], &*text(path)].concat()
}

/// What goes into the table behind the first path, in the order in which later calls name it.
fn new_headers() -> Vec<u8> {
    let authority = [&[0x41], &*text("localhost")].concat();
    let content_type = [&[0x40 | 31], &*text("application/grpc")].concat();
    let te = [&[0x40], &*text("te"), &*text("trailers")].concat();
    let credential = [&[0x40], &*text("x-api-key"), &*text(API_KEY)].concat();
    [authority, content_type, te, credential].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).expect("a short text")], text.as_bytes()].concat()
}
