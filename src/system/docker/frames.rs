//! The frames in which an engine mixes a container's output and its errors: eight bytes that say which and how long, then so
//! many bytes.

/// How long a frame's head is; its last four bytes are the length, the first of them the most significant.
const HEAD: usize = 8;

/// Takes frames apart, however they come in pieces.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: Vec<u8>,
    /// What is still to come of the frame that is open.
    left: usize,
}

impl Frames {
    /// What is in the frames of these bytes. A frame is a line or less of a log: they are handed on together.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut taken = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at((HEAD - self.head.len()).min(bytes.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if let [_, _, _, _, a, b, c, d] = self.head[..] {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.head.clear();
                }
                continue;
            }
            let (part, rest) = bytes.split_at(self.left.min(bytes.len()));
            taken.extend_from_slice(part);
            self.left -= part.len();
            bytes = rest;
        }
        taken
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
            for piece in stream.chunks(size) {
                heard.extend(frames.take(piece));
            }
            assert_eq!(heard, b"out one\nan error\nout two\n", "in pieces of {size}");
        }
    }
}
