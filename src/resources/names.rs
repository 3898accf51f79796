//! File names as text: bytes that are not plain are written `%XX`, so that any name survives JSON and a terminal.

/// The name with everything but printable characters escaped, `%` itself included.
#[must_use]
pub(super) fn escaped(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '%' || character.is_control() {
                let mut buffer = [0; 4];
                escape(&mut text, character.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write as _;
    for byte in bytes {
        // Writing to a String cannot fail.
        let _never = write!(text, "%{byte:02X}");
    }
}

/// The bytes of an escaped name; `None` where an escape is cut or not hexadecimal.
#[must_use]
pub(super) fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped};

    #[test]
    fn any_name_comes_back() {
        for name in [
            &b"plain"[..],
            b"100%",
            b"a\nb",
            b"\xff\xfe",
            "e\u{301}\u{e9}".as_bytes(),
            b"-rf",
            b"",
        ] {
            let text = escaped(name);
            assert!(!text.contains('\n'), "{text:?}");
            assert_eq!(unescaped(&text).as_deref(), Some(name));
        }
        assert_eq!(unescaped("%4"), None);
        assert_eq!(unescaped("%zz"), None);
    }
}
