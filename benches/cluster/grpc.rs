//! Just enough gRPC for a few unary calls: one message with its length in front, fields as protobuf writes them.

/// A message under construction.
#[derive(Default)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field's value.
#[derive(Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The value of a field in a message, the last one if there are several.
pub fn field(mut message: &[u8], wanted: u64) -> Option<Value<'_>> {
    let mut found = None;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        if tag >> 3 == wanted {
            found = Some(value);
        }
    }
    found
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Calls `path`, such as `/v3lockpb.Lock/Lock`; the answer's message, or why there is none.
pub async fn call(http: &reqwest::Client, url: &str, message: Message) -> Result<Vec<u8>, String> {
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.0.len()).expect("a short message").to_be_bytes());
    body.extend_from_slice(&message.0);
    let request = http.post(url).header("content-type", "application/grpc").header("te", "trailers").body(body);
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.headers().get("grpc-message").map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned());
    let body = answer.bytes().await.map_err(|error| format!("{error:?}"))?;
    // A call that failed has no message.
    body.get(5..).map(<[u8]>::to_vec).ok_or_else(|| status.unwrap_or_else(|| "no message".to_owned()))
}
