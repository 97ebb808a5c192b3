//! The little of Postgres' frontend protocol that the proxy must understand: where a message ends, and which of them is a
//! COMMIT. Left out: everything that the backend says.

use bytes::{Buf as _, Bytes, BytesMut};

/// Messages as a client sends them, cut out of its bytes.
#[derive(Debug, Default)]
pub(super) struct Frames {
    buffer: BytesMut,
    /// The first message has no type in front of its length.
    started: bool,
    /// `application_name` of the first message.
    application: String,
}

/// One whole message.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Bytes,
    pub(super) is_commit: bool,
}

impl Frames {
    /// Where the next bytes of the client go.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// What the client calls itself; empty before its first message.
    pub(super) fn application(&self) -> &str {
        &self.application
    }

    /// Takes the next whole message.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let head = usize::from(self.started);
        let length = self.buffer.get(head..head + 4)?.get_u32();
        let whole = head + usize::try_from(length).ok()?;
        if self.buffer.len() < whole {
            return None;
        }
        let bytes = self.buffer.split_to(whole).freeze();
        let is_commit = self.started && is_commit(&bytes);
        if !self.started {
            self.started = true;
            self.application = parameter(&bytes, b"application_name").unwrap_or_default();
        }
        Some(Frame { bytes, is_commit })
    }
}

/// A transaction ends with a simple query of one word, type `Q`; the statements inside it go another way.
fn is_commit(frame: &[u8]) -> bool {
    frame.first() == Some(&b'Q') && frame.get(5..).is_some_and(|text| text.eq_ignore_ascii_case(b"COMMIT\0"))
}

/// A parameter of the startup message: after length and version, names and values that each end with a zero.
fn parameter(startup: &[u8], name: &[u8]) -> Option<String> {
    let mut texts = startup.get(8..)?.split(|byte| *byte == 0);
    while let (Some(key), Some(value)) = (texts.next(), texts.next()) {
        if key == name {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &[u8], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [kind, &length, body].concat()
    }

    #[test]
    fn a_commit_is_seen_however_the_bytes_arrive() {
        let startup = message(b"", b"\0\x03\0\0user\0postgres\0application_name\0falconer api\0\0");
        let sent = [startup, message(b"Q", b"BEGIN\0"), message(b"Q", b"COMMIT\0")].concat();
        for size in [1, 7, sent.len()] {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for part in sent.chunks(size) {
                frames.buffer().extend_from_slice(part);
                while let Some(frame) = frames.next() {
                    seen.push(frame.is_commit);
                }
            }
            assert_eq!(seen, [false, false, true], "in parts of {size}");
            assert_eq!(frames.application(), "falconer api");
        }
    }
}
