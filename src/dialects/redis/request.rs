//! Commands from bytes: arrays of bulk strings, in RESP2 and RESP3 alike. The scanner finds where a command ends, and refuses
//! what is out of bounds by its declared lengths, before anything is allocated for it; the library then reads the whole.

use redis_protocol::resp2::decode::decode_range;
use redis_protocol::resp2::types::RangeFrame;
use std::ops::Range;

/// A length and its line break: 20 digits are more than any number has.
const HEADER_BYTES_MAX: usize = 24;

/// What one command may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub command_bytes: usize,
    /// The key of `config.toml` that sets it.
    pub command_bytes_key: &'static str,
    pub arguments: usize,
}

/// Bytes that are no command within the bounds. The connection ends, because nobody knows where the next command begins.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    #[error(
        "Protocol error: a command must be an array of bulk strings; inline commands, and requests of other protocols, are \
         not taken"
    )]
    Inline,
    #[error("Protocol error: an argument must be a bulk string, and not an array or another type")]
    NoBulkString,
    #[error("Protocol error: a length is not a number")]
    BadLength,
    #[error("Protocol error: a command must have a name")]
    Empty,
    #[error("Protocol error: a bulk string must end with CR LF")]
    BadEnd,
    #[error("Protocol error: a command must have at most {limit} arguments (redis.arguments_max)")]
    TooManyArguments { limit: usize },
    #[error("Protocol error: a command must be at most {limit} bytes long ({config_key})")]
    TooLong { limit: usize, config_key: &'static str },
}

/// Where in the command that arrives the next unread part is.
#[derive(Default, Debug)]
pub struct Scanner {
    at: usize,
    /// Arguments that are still to come; `None` before the header of the array.
    left: Option<usize>,
}

impl Scanner {
    /// Looks at the bytes of the command so far, which begin with it. The length of the command, if it is complete; the
    /// scanner is then ready for the next one. Each call goes on where the last one stopped.
    pub fn scan(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<usize>, Violation> {
        let end = self.advance(&bytes[..bytes.len().min(bounds.command_bytes)], bounds)?;
        match end {
            Some(_) => *self = Scanner::default(),
            None if bytes.len() >= bounds.command_bytes => return Err(too_long(bounds)),
            None => {}
        }
        Ok(end)
    }

    fn advance(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Option<usize>, Violation> {
        if self.left.is_none() {
            let Some((count, next)) = header(bytes, 0, b'*', Violation::Inline)? else { return Ok(None) };
            if count == 0 {
                return Err(Violation::Empty);
            }
            if count > bounds.arguments {
                return Err(Violation::TooManyArguments { limit: bounds.arguments });
            }
            (self.left, self.at) = (Some(count), next);
        }
        while let Some(left) = self.left.filter(|left| *left > 0) {
            let Some((length, start)) = header(bytes, self.at, b'$', Violation::NoBulkString)? else { return Ok(None) };
            let end = start.checked_add(length).and_then(|end| end.checked_add(2)).ok_or_else(|| too_long(bounds))?;
            if end > bounds.command_bytes {
                return Err(too_long(bounds));
            }
            match bytes.get(end - 2..end) {
                None => return Ok(None),
                Some(b"\r\n") => (self.at, self.left) = (end, Some(left - 1)),
                Some(_) => return Err(Violation::BadEnd),
            }
        }
        Ok(Some(self.at))
    }
}

fn too_long(bounds: &Bounds) -> Violation {
    Violation::TooLong { limit: bounds.command_bytes, config_key: bounds.command_bytes_key }
}

/// The number after this sign, and where its line ends; `None` if the line has not arrived.
fn header(bytes: &[u8], at: usize, sign: u8, otherwise: Violation) -> Result<Option<(usize, usize)>, Violation> {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first() {
        None => return Ok(None),
        Some(first) if *first != sign => return Err(otherwise),
        Some(_) => {}
    }
    let line = &rest[..rest.len().min(HEADER_BYTES_MAX)];
    let Some(length) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if line.len() < HEADER_BYTES_MAX { Ok(None) } else { Err(Violation::BadLength) };
    };
    let digits = &line[1..length];
    let number = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse().ok()).ok_or(Violation::BadLength)?;
    Ok(Some((number, at + length + 2)))
}

/// A complete command.
pub struct Request<'a> {
    bytes: &'a [u8],
    arguments: Vec<Range<usize>>,
}

#[expect(clippy::len_without_is_empty, reason = "a command always has a name")]
impl<'a> Request<'a> {
    /// Reads the bytes that the scanner has found to be one command.
    pub fn read(bytes: &'a [u8]) -> Result<Request<'a>, Violation> {
        let decoded = decode_range(bytes).map_err(|_| Violation::NoBulkString)?;
        let Some((RangeFrame::Array(frames), _)) = decoded else { return Err(Violation::NoBulkString) };
        let range = |frame| match frame {
            RangeFrame::BulkString((start, end)) => Ok(start..end),
            _ => Err(Violation::NoBulkString),
        };
        let arguments = frames.into_iter().map(range).collect::<Result<Vec<_>, _>>()?;
        if arguments.is_empty() { Err(Violation::Empty) } else { Ok(Request { bytes, arguments }) }
    }

    /// How many arguments there are, the name of the command included.
    pub fn len(&self) -> usize {
        self.arguments.len()
    }

    /// An argument; nothing where there is none.
    pub fn get(&self, at: usize) -> &'a [u8] {
        self.arguments.get(at).and_then(|range| self.bytes.get(range.clone())).unwrap_or_default()
    }

    pub fn from(&self, at: usize) -> impl Iterator<Item = &'a [u8]> + '_ {
        (at..self.len()).map(|at| self.get(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { command_bytes: 64, command_bytes_key: "redis.command_bytes_max", arguments: 4 };

    fn scan(bytes: &[u8]) -> Result<Option<usize>, Violation> {
        Scanner::default().scan(bytes, &BOUNDS)
    }

    #[test]
    fn command_is_found_however_it_arrives() {
        let bytes = b"*2\r\n$4\r\nECHO\r\n$5\r\na\r\nbc\r\n*1\r\n";
        let end = bytes.len() - 4;
        let mut scanner = Scanner::default();
        for length in 0..end {
            assert_eq!(scanner.scan(&bytes[..length], &BOUNDS), Ok(None), "{length}");
        }
        assert_eq!(scanner.scan(bytes, &BOUNDS), Ok(Some(end)));
        let request = Request::read(&bytes[..end]).expect("complete");
        assert_eq!(
            (request.len(), request.get(0), request.get(1), request.get(2)),
            (2, &b"ECHO"[..], &b"a\r\nbc"[..], &b""[..])
        );
    }

    #[test]
    fn declared_lengths_are_refused_before_their_bytes_come() {
        assert_eq!(scan(b"*5\r\n"), Err(Violation::TooManyArguments { limit: 4 }));
        assert_eq!(scan(b"*1000000000\r\n"), Err(Violation::TooManyArguments { limit: 4 }));
        let too_long = Err(Violation::TooLong { limit: 64, config_key: "redis.command_bytes_max" });
        for length in ["100", "1000000000", "18446744073709551615"] {
            assert_eq!(scan(format!("*1\r\n${length}\r\n").as_bytes()), too_long, "{length}");
        }
        assert_eq!(scan(b"*2\r\n$40\r\n0123456789012345678901234567890123456789\r\n$20\r\n"), too_long);
    }

    #[test]
    fn command_that_has_no_room_for_its_rest_is_refused() {
        let full = format!("*2\r\n$47\r\n{}\r\n", "x".repeat(47));
        for rest in ["$", "$1", "$1\r", "$1\r\n"] {
            let bytes = format!("{full}{rest}");
            let refused = bytes.len() >= BOUNDS.command_bytes || rest.ends_with('\n');
            assert_eq!(scan(bytes.as_bytes()).is_err(), refused, "{}", bytes.len());
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for (bytes, why) in [
            (&b"PING\r\n"[..], Violation::Inline),
            (b"POST / HTTP/1.1\r\n", Violation::Inline),
            (b"|1\r\n+a\r\n+b\r\n*1\r\n", Violation::Inline),
            (b"*1\r\n*1\r\n", Violation::NoBulkString),
            (b"*1\r\n|1\r\n", Violation::NoBulkString),
            (b"*1\r\n:1\r\n", Violation::NoBulkString),
            (b"*0\r\n", Violation::Empty),
            (b"*-1\r\n", Violation::BadLength),
            (b"*\r\n", Violation::BadLength),
            (b"*1\r\n$-1\r\n", Violation::BadLength),
            (b"*1\r\n$+1\r\n", Violation::BadLength),
            (b"*1\r\n$99999999999999999999999", Violation::BadLength),
            (b"*1\r\n$1\r\nabc", Violation::BadEnd),
        ] {
            assert_eq!(scan(bytes), Err(why), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
