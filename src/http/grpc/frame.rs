//! Messages in their gRPC frames: a flag, a length, the message.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{Stream, StreamExt as _};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use std::convert::Infallible;
use tonic::Status;

const HEAD_BYTES: usize = 5;
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The one message of a request.
pub fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Status::internal("the request has no message"));
    };
    if flag != 0 {
        return Err(Status::unimplemented(
            "compressed messages are not accepted: send them with grpc-encoding identity",
        ));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length != message.len() {
        let text = format!("one message of {length} bytes was announced, {} bytes came", message.len());
        return Err(Status::internal(text));
    }
    M::decode(message).map_err(|error| Status::invalid_argument(format!("the message cannot be read: {error}")))
}

pub fn encode(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("answers are far smaller than 4 GiB"));
    message.encode(&mut frame).expect("a buffer of this size takes the message");
    frame.freeze()
}

pub fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The trailers of a call that failed after its first message.
pub fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(GRPC_STATUS, HeaderValue::from(status.code() as i32));
    }
    trailers
}

pub fn stream(frames: impl Stream<Item = Frame<Bytes>> + Send + 'static) -> Body {
    Body::new(StreamBody::new(frames.map(Ok::<_, Infallible>)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    #[test]
    fn encoded_messages_decode() {
        // A string is a message with one field.
        let name = String::from("日本");
        assert_eq!(decode::<String>(&encode(&name)).expect("sound"), name);
        assert_eq!(decode::<String>(&[0; 5]).expect("sound"), "");
    }

    #[test]
    fn malformed_frames_are_refused() {
        let code = |body: &[u8]| decode::<String>(body).expect_err("refused").code();
        assert_eq!(code(b""), Code::Internal);
        assert_eq!(code(&[1, 0, 0, 0, 0]), Code::Unimplemented);
        assert_eq!(code(&[0, 0, 0, 0, 2, 1]), Code::Internal);
        assert_eq!(code(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Code::Internal, "two messages");
        assert_eq!(code(&[0, 0, 0, 0, 1, 0xff]), Code::InvalidArgument);
    }
}
