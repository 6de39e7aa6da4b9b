//! Recognises bodies that are no JSON at all, and says what to send instead.

/// Advice for the sender of these bytes; `None` if they look like broken JSON.
pub fn describe_non_json(body: &[u8]) -> Option<&'static str> {
    Some(match body {
        [0xef, 0xbb, 0xbf, ..] => "the body begins with a byte order mark: send JSON as UTF-8 without one",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, b'{', ..] | [b'{', 0, ..] => "the body is UTF-16: send JSON as UTF-8",
        [0x1f, 0x8b, ..] => "the body is compressed with gzip: send JSON uncompressed",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "the body is compressed with zstd: send JSON uncompressed",
        _ if is_form(body) => {
            "the body is a form: send a JSON object, such as {\"name\": \"deploy\"}, with Content-Type: application/json"
        }
        _ if is_multipart(body) => {
            "the body is a multipart form: send a JSON object with Content-Type: application/json"
        }
        _ => return None,
    })
}

/// `name=value` pairs, as `curl -d` and browsers send them.
fn is_form(body: &[u8]) -> bool {
    let name = body.split(|byte| *byte == b'=').next().unwrap_or_default();
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%+[]".contains(byte);
    !name.is_empty() && name.len() < body.len() && name.iter().all(in_name)
}

fn is_multipart(body: &[u8]) -> bool {
    body.starts_with(b"--") && body.windows(20).take(512).any(|part| part.eq_ignore_ascii_case(b"content-disposition:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_json_is_recognised() {
        for (body, naming) in [
            (&b"\xef\xbb\xbf{}"[..], "byte order mark"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"name=a&lock_timeout_seconds=30", "form"),
            (b"name=", "form"),
            (b"--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n--x--\r\n", "multipart"),
        ] {
            assert!(
                describe_non_json(body).is_some_and(|advice| advice.contains(naming)),
                "{}",
                String::from_utf8_lossy(body)
            );
        }
        for body in [&b"{\"name\""[..], b"null", b"[]", b"x", b"\"a=b\"", b"=", b"a b=c", b""] {
            assert_eq!(describe_non_json(body), None, "{}", String::from_utf8_lossy(body));
        }
    }
}
