//! The frames in which an engine mixes a container's output and its errors: eight bytes that say which and how long, then so
//! many bytes.

/// How long a frame's head is; its last four bytes are the length, the first of them the most significant.
const HEAD: usize = 8;

/// The first byte of a frame of what was written to standard error.
const ERRORS: u8 = 2;

/// Takes frames apart, however they come in pieces.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// Whether the frame that is open is one of standard error.
    is_error: bool,
    /// What is still to come of the frame that is open.
    left: usize,
}

impl Frames {
    /// What is in the frames of these bytes. A frame is a line or less of a log: they are handed on together.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut taken = Vec::with_capacity(bytes.len());
        self.each(bytes, &mut |_, part| taken.extend_from_slice(part));
        taken
    }

    /// The same, part by part: whether it was written to standard error, and what.
    pub(super) fn each(&mut self, mut bytes: &[u8], part: &mut dyn FnMut(bool, &[u8])) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at((HEAD - self.head.len()).min(bytes.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let [kind, _, _, _, a, b, c, d] = self.head[..] {
                    self.is_error = kind == ERRORS;
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.head.clear();
                }
                continue;
            }
            let (piece, rest) = bytes.split_at(self.left.min(bytes.len()));
            part(self.is_error, piece);
            self.left -= piece.len();
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn frames_are_taken_apart_wherever_they_are_cut() {
        let mut stream = Vec::new();
        for (kind, text) in [(1_u8, "out one\n"), (2, ""), (2, "an error\n"), (1, "out two\n")] {
            stream.extend_from_slice(&[kind, 0, 0, 0]);
            stream.extend_from_slice(&u32::try_from(text.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(text.as_bytes());
        }
        for size in 1..=stream.len() {
            let (mut frames, mut heard) = (Frames::default(), Vec::new());
            let (mut apart, mut two) = (Frames::default(), [Vec::new(), Vec::new()]);
            for piece in stream.chunks(size) {
                heard.extend(frames.take(piece));
                apart.each(piece, &mut |is_error, part| {
                    two[usize::from(is_error)].extend_from_slice(part);
                });
            }
            assert_eq!(heard, b"out one\nan error\nout two\n", "in pieces of {size}");
            assert_eq!(two, [&b"out one\nout two\n"[..], b"an error\n"], "in pieces of {size}");
        }
    }
}
