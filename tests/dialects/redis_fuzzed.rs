//! Gives arbitrary bytes to the reader of the Redis protocol, for the fuzz target in `fuzz/` and for the tests here.

use latchd::dialects::redis::{Bounds, Request, Scanner, Violation, canonical};

const BOUNDS: Bounds = Bounds { command_bytes: 256, command_bytes_key: "redis.command_bytes_max", arguments: 8 };

/// The commands in these bytes, which arrive in pieces of this size, and what ends them.
pub fn commands(bytes: &[u8], piece: usize) -> (Vec<Vec<Vec<u8>>>, Option<Violation>) {
    let (mut found, mut scanner, mut begin) = (Vec::new(), Scanner::default(), 0);
    for end in (0..bytes.len()).step_by(piece.max(1)).map(|at| (at + piece.max(1)).min(bytes.len())) {
        loop {
            let command = match scanner.scan(&bytes[begin..end], &BOUNDS) {
                Ok(None) => break,
                Ok(Some(length)) => &bytes[begin..begin + length],
                Err(violation) => return (found, Some(violation)),
            };
            assert!(command.len() <= BOUNDS.command_bytes);
            let request = Request::read(command).expect("what the scanner has found can be read");
            assert!((1..=BOUNDS.arguments).contains(&request.len()));
            found.push(request.from(0).map(<[u8]>::to_vec).collect());
            begin += command.len();
        }
    }
    (found, None)
}

/// Reads the bytes as commands, in pieces of two sizes, and as a script.
pub fn read_all(bytes: &[u8]) {
    assert_eq!(commands(bytes, 1), commands(bytes, bytes.len()), "how the bytes arrive changes nothing");
    if let Ok(script) = str::from_utf8(bytes) {
        assert_eq!(canonical(script), canonical(&format!("\n {script}\n")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::redis::encoded;
    use proptest::prelude::*;

    /// Commands, cut and mixed with other bytes.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let command = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..10)
            .prop_map(|arguments| encoded(&arguments.iter().map(|argument| &**argument).collect::<Vec<_>>()));
        let sign = prop::sample::select(vec![
            &b"*"[..],
            b"$",
            b"\r\n",
            b"-1",
            b"1000000000",
            b"|1\r\n",
            b"--",
            b"'",
            b"local a = KEYS[1] ",
        ]);
        let piece = prop_oneof![4 => command, 1 => sign.prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..9)];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_the_same_however_they_arrive(bytes in pieces()) {
            read_all(&bytes);
        }

        #[test]
        fn whole_commands_are_all_found(
            arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..8),
            piece in 1_usize..300,
        ) {
            let slices: Vec<&[u8]> = arguments.iter().map(|argument| &**argument).collect();
            let twice = [encoded(&slices), encoded(&slices)].concat();
            prop_assert_eq!(commands(&twice, piece), (vec![arguments.clone(), arguments], None));
        }
    }
}
