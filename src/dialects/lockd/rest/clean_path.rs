//! Paths as Go's routers read them: percent-decoded, then rid of empty steps, `.` and `..`.

use percent_encoding::percent_decode_str;

/// The decoded path without empty steps, `.` and `..`; a slash at its end stays.
pub fn clean(path: &str) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut steps: Vec<&[u8]> = Vec::new();
    let mut is_open = false;
    for step in decoded.split(|byte| *byte == b'/') {
        is_open = matches!(step, b"" | b".");
        match step {
            b"" | b"." => {}
            b".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let mut cleaned: Vec<u8> = steps.iter().flat_map(|step| [b"/", *step].concat()).collect();
    if is_open || cleaned.is_empty() {
        cleaned.push(b'/');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_dot_segments_are_removed() {
        for (path, cleaned) in [
            ("/lock/foo", "/lock/foo"),
            ("//lock/foo", "/lock/foo"),
            ("/lock//foo", "/lock/foo"),
            ("/lock/./foo", "/lock/foo"),
            ("/./lock/foo", "/lock/foo"),
            ("/x/../lock/foo", "/lock/foo"),
            ("/../../lock/foo", "/lock/foo"),
            ("/lock/%2Ffoo", "/lock/foo"),
            ("/lock/a%2f..%2Ffoo", "/lock/foo"),
            ("/lock/foo/", "/lock/foo/"),
            ("/lock/foo//", "/lock/foo/"),
            ("/lock/foo/.", "/lock/foo/"),
            ("/lock/foo/..", "/lock"),
            ("/lock/.", "/lock/"),
            ("/lock/..", "/"),
            ("/lock/...", "/lock/..."),
            ("/lock/..a/.b", "/lock/..a/.b"),
            ("/", "/"),
            ("", "/"),
            ("//", "/"),
        ] {
            assert_eq!(String::from_utf8_lossy(&clean(path)), cleaned, "{path}");
        }
    }
}
