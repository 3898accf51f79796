//! Parts of the URLs in which databases are named.

/// The part with its escapes read.
///
/// # Errors
/// A sentence about what is wrong with it, without the part itself: it may be a password.
pub(super) fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
            return Err("a `%` must be followed by two hexadecimal digits; a `%` itself is written %25".to_owned());
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 once decoded".to_owned())?;
    if text.contains('\0') {
        return Err("it holds a NUL".to_owned());
    }
    Ok(text)
}
