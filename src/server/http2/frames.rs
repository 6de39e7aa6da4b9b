//! The frames of one direction of an HTTP/2 connection (RFC 9113, 4.1), found in its bytes however they are cut.

/// What a client of HTTP/2 sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const WINDOW_UPDATE: u8 = 0x8;
const END_STREAM: u8 = 0x1;

/// What a frame means for who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// It begins a request, or ends one with trailers.
    Headers,
    /// A part of a body.
    Data,
    WindowUpdate,
    Reset,
    /// Whatever moves no request on: SETTINGS, PING, PRIORITY, CONTINUATION, unknown frames, and empty DATA.
    Control,
}

/// Reads along.
#[derive(Debug)]
pub enum Frames {
    /// So much of the preface has come.
    Preface(usize),
    /// It speaks something else, which has no frames.
    Other,
    /// So much of a frame's head has come.
    Head([u8; HEAD_BYTES], usize),
    /// So much of a frame's payload is to come.
    Payload(usize),
}

impl Frames {
    pub fn new() -> Frames {
        Frames::Preface(0)
    }

    /// Whether this is HTTP/2, as far as is known.
    pub fn are_there(&self) -> bool {
        !matches!(self, Frames::Other)
    }

    /// Reads these bytes, and reports each frame whose head is complete.
    pub fn read(&mut self, mut bytes: &[u8], mut tell: impl FnMut(Frame)) {
        while let Some(&first) = bytes.first() {
            let taken = match self {
                Frames::Other => return,
                Frames::Preface(at) => {
                    match PREFACE.get(*at) {
                        Some(expected) if *expected == first => *at += 1,
                        _ => *self = Frames::Other,
                    }
                    if let Frames::Preface(at) = self
                        && *at == PREFACE.len()
                    {
                        *self = Frames::Head([0; HEAD_BYTES], 0);
                    }
                    1
                }
                Frames::Head(head, at) => {
                    head[*at] = first;
                    *at += 1;
                    if *at == HEAD_BYTES {
                        let (frame, length) = parsed(head);
                        tell(frame);
                        *self = if length > 0 { Frames::Payload(length) } else { Frames::Head([0; HEAD_BYTES], 0) };
                    }
                    1
                }
                Frames::Payload(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        *self = Frames::Head([0; HEAD_BYTES], 0);
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
    }
}

/// The kind of a frame, and the length of its payload.
fn parsed(head: &[u8; HEAD_BYTES]) -> (Frame, usize) {
    let [a, b, c, kind, flags, ..] = *head;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let frame = match kind {
        DATA if length > 0 || flags & END_STREAM != 0 => Frame::Data,
        HEADERS => Frame::Headers,
        RST_STREAM => Frame::Reset,
        WINDOW_UPDATE => Frame::WindowUpdate,
        _ => Frame::Control,
    };
    (frame, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], cut: usize) -> Vec<Frame> {
        let (mut frames, mut found) = (Frames::new(), Vec::new());
        bytes.chunks(cut).for_each(|part| frames.read(part, |frame| found.push(frame)));
        assert!(frames.are_there() || found.is_empty());
        found
    }

    #[test]
    fn frames_are_found_in_chunks_of_any_size() {
        let mut bytes = PREFACE.to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9]);
        bytes.extend([0, 0, 2, HEADERS, 4, 0, 0, 0, 1, 0x82, 0x86]);
        bytes.extend([0, 0, 0, DATA, 0, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, DATA, END_STREAM, 0, 0, 0, 1]);
        bytes.extend([0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8]);
        bytes.extend([0, 0, 4, WINDOW_UPDATE, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        use Frame::*;
        for cut in [1, 2, 7, 9, 24, 1000] {
            assert_eq!(read(&bytes, cut), [Control, Control, Headers, Control, Data, Reset, WindowUpdate], "{cut}");
        }
    }

    #[test]
    fn what_does_not_begin_as_http2_has_no_frames() {
        for text in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PRI"] {
            assert_eq!(read(text.as_bytes(), 5), []);
        }
    }
}
