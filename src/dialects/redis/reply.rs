//! Answers, as RESP2 and RESP3 write them.

use bytes::BytesMut;
use redis_protocol::error::RedisProtocolError;
use redis_protocol::resp2::encode::encode_borrowed as encode_resp2;
use redis_protocol::resp2::types::BorrowedFrame as Resp2;
use redis_protocol::resp3::encode::complete::encode_borrowed as encode_resp3;
use redis_protocol::resp3::types::BorrowedFrame as Resp3;
use std::borrow::Cow;

/// The version that a client has chosen with HELLO.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    Status(&'static str),
    /// With its prefix; has no line break.
    Error(String),
    Integer(i64),
    Bulk(Cow<'static, [u8]>),
    Nil,
    Array(Vec<Reply>),
    /// A flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    pub const OK: Reply = Reply::Status("OK");

    pub fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(text.into().into_bytes().into())
    }

    /// Appends the bytes of this answer.
    pub fn write(&self, protocol: Protocol, to: &mut BytesMut) {
        match self {
            Reply::Array(items) => {
                to.extend_from_slice(format!("*{}\r\n", items.len()).as_bytes());
                items.iter().for_each(|item| item.write(protocol, to));
            }
            Reply::Map(pairs) => {
                let head = match protocol {
                    Protocol::Resp2 => format!("*{}\r\n", 2 * pairs.len()),
                    Protocol::Resp3 => format!("%{}\r\n", pairs.len()),
                };
                to.extend_from_slice(head.as_bytes());
                pairs.iter().flat_map(|(key, value)| [key, value]).for_each(|item| item.write(protocol, to));
            }
            single => single.write_single(protocol, to),
        }
    }

    fn write_single(&self, protocol: Protocol, to: &mut BytesMut) {
        let start = to.len();
        let written = match protocol {
            Protocol::Resp2 => {
                let frame = self.resp2();
                append(to, frame.encode_len(false), |room| encode_resp2(room, &frame, false))
            }
            Protocol::Resp3 => {
                let frame = self.resp3();
                append(to, frame.encode_len(false), |room| encode_resp3(room, &frame, false))
            }
        };
        // The library refuses only what does not fit into the room that it has asked for.
        if written.is_err() {
            to.truncate(start);
            to.extend_from_slice(b"-ERR internal: an answer cannot be written\r\n");
        }
    }

    fn resp2(&self) -> Resp2<'_> {
        match self {
            Reply::Status(text) => Resp2::SimpleString(text.as_bytes()),
            Reply::Error(text) => Resp2::Error(text),
            Reply::Integer(number) => Resp2::Integer(*number),
            Reply::Bulk(bytes) => Resp2::BulkString(bytes),
            Reply::Nil | Reply::Array(_) | Reply::Map(_) => Resp2::Null,
        }
    }

    fn resp3(&self) -> Resp3<'_> {
        let attributes = None;
        match self {
            Reply::Status(text) => Resp3::SimpleString { data: text.as_bytes(), attributes },
            Reply::Error(text) => Resp3::SimpleError { data: text, attributes },
            Reply::Integer(number) => Resp3::Number { data: *number, attributes },
            Reply::Bulk(data) => Resp3::BlobString { data, attributes },
            Reply::Nil | Reply::Array(_) | Reply::Map(_) => Resp3::Null,
        }
    }
}

fn append(
    to: &mut BytesMut,
    length: usize,
    encode: impl FnOnce(&mut [u8]) -> Result<usize, RedisProtocolError>,
) -> Result<(), RedisProtocolError> {
    let start = to.len();
    to.resize(start + length, 0);
    let written = encode(&mut to[start..])?;
    to.truncate(start + written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut bytes = BytesMut::new();
        reply.write(protocol, &mut bytes);
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[test]
    fn answers_have_the_form_of_their_protocol() {
        for (reply, resp2, resp3) in [
            (Reply::OK, "+OK\r\n", "+OK\r\n"),
            (Reply::Error("ERR no".to_owned()), "-ERR no\r\n", "-ERR no\r\n"),
            (Reply::Integer(-2), ":-2\r\n", ":-2\r\n"),
            (Reply::text("a\r\nb"), "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"),
            (Reply::text(""), "$0\r\n\r\n", "$0\r\n\r\n"),
            (Reply::Nil, "$-1\r\n", "_\r\n"),
            (Reply::Array(vec![Reply::Integer(1), Reply::Nil]), "*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n"),
            (Reply::Array(Vec::new()), "*0\r\n", "*0\r\n"),
            (
                Reply::Map(vec![(Reply::text("a"), Reply::Integer(1))]),
                "*2\r\n$1\r\na\r\n:1\r\n",
                "%1\r\n$1\r\na\r\n:1\r\n",
            ),
        ] {
            assert_eq!(written(&reply, Protocol::Resp2), resp2);
            assert_eq!(written(&reply, Protocol::Resp3), resp3);
        }
    }
}
