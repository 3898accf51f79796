//! The forms that a value takes in texts: as URLs, JSON, HTML, shells, base64 and hexadecimal digits write it.

/// What URLs leave as it is, beside letters and digits: RFC 3986, JavaScript's components and whole URLs, Python, forms.
const KEPT_IN_URLS: [&str; 5] = ["-_.~", "-_.!~*'()", "-_.!~*'();/?:@&=+$,#", "-_.~/", "-_.*"];
/// What stands for double and single quotes in HTML; the other three are the same everywhere.
const QUOTES_IN_HTML: [(&str, &str); 6] = [
    ("&quot;", "&#x27;"),
    ("&#34;", "&#39;"),
    ("&quot;", "&#39;"),
    ("&quot;", "&#039;"),
    ("&quot;", "&apos;"),
    ("\"", "'"),
];

/// The value and every form of it that is another text, the value first. Each notation in the letters of either case that it
/// leaves open, and URLs twice encoded, as for an address within an address.
pub(super) fn all(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    for kept in KEPT_IN_URLS {
        for is_upper in [true, false] {
            let once = percent(value, kept, is_upper);
            forms.push(percent(&once, kept, is_upper));
            forms.push(once.replace("%20", "+"));
            forms.push(once);
        }
    }
    let json = json(value);
    forms.push(json.replace('/', "\\/"));
    forms.push(inner(&serde_json::Value::from(json.as_str()).to_string()).to_owned());
    forms.push(json);
    for is_upper in [true, false] {
        forms.push(unicode(value, |c| !c.is_ascii(), is_upper));
        // Made to stand in HTML.
        forms.push(unicode(value, |c| !c.is_ascii() || "<>&'".contains(c), is_upper));
        forms.push(unicode(value, |c| "<>&\u{2028}\u{2029}".contains(c), is_upper));
    }
    for (double, single) in QUOTES_IN_HTML {
        let html = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        forms.push(html.replace('"', double).replace('\'', single));
    }
    forms.push(value.replace('\'', "'\\''"));
    forms.push(value.replace('\'', "'\"'\"'"));
    forms.push(slashed(value, |c| "\"\\$`".contains(c)));
    forms.push(slashed(value, |c| !c.is_alphanumeric() && !"%+,-./:=@_".contains(c)));
    forms.push(slashed(value, |c| !c.is_alphanumeric() && !"%+-./:@_".contains(c)));
    forms.push(slashed(value, |c| c == '\'' || c == '\\'));
    for is_upper in [true, false] {
        forms.push(value.bytes().map(|byte| digits(byte, is_upper)).collect());
    }
    forms.extend(base64(value));
    let mut known = std::collections::BTreeSet::new();
    forms.retain(|form| known.insert(form.clone()));
    forms
}

/// What a URL's encoding stands for, where it is one of a text.
pub(super) fn decoded(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |offset: usize| bytes.get(at + offset).and_then(|digit| char::from(*digit).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (byte, digit(1), digit(2)) {
            decoded.push(u8::try_from(high * 16 + low).ok()?);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8(decoded).ok().filter(|decoded| decoded != value)
}

fn digits(byte: u8, is_upper: bool) -> String {
    if is_upper {
        format!("{byte:02X}")
    } else {
        format!("{byte:02x}")
    }
}

fn percent(value: &str, kept: &str, is_upper: bool) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{}", digits(byte, is_upper))
        }
    };
    value.bytes().map(one).collect()
}

/// A JSON string without the quotes around it.
fn inner(string: &str) -> &str {
    string
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(string)
}

fn json(value: &str) -> String {
    inner(&serde_json::Value::from(value).to_string()).to_owned()
}

/// JSON, these characters by their numbers.
fn unicode(value: &str, is_numbered: impl Fn(char) -> bool, is_upper: bool) -> String {
    let mut units = [0; 2];
    let mut one = |c: char| -> String {
        if !is_numbered(c) {
            return json(&c.to_string());
        }
        let units = c.encode_utf16(&mut units).iter();
        let number = |unit: &u16| {
            let [high, low] = unit.to_be_bytes();
            format!("\\u{}{}", digits(high, is_upper), digits(low, is_upper))
        };
        units.map(number).collect()
    };
    value.chars().map(&mut one).collect()
}

/// With a backslash before these characters.
fn slashed(value: &str, is_slashed: impl Fn(char) -> bool) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if is_slashed(c) {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// What base64, of either alphabet, makes of a value at each of the three places within a longer text at which it may begin;
/// the characters at both ends that depend on what stands beside it are left out.
fn base64(value: &str) -> Vec<String> {
    const COMMON: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut forms = Vec::new();
    for (ends, before) in [(b"+/", 0), (b"+/", 1), (b"+/", 2), (b"-_", 0), (b"-_", 1), (b"-_", 2)] {
        let bytes = std::iter::repeat_n(0, before).chain(value.bytes());
        let bits: Vec<u8> = bytes
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
            .collect();
        let sextets = bits.chunks_exact(6).skip((before * 8).div_ceil(6));
        let digits = sextets.filter_map(|sextet| {
            let digit = usize::from(sextet.iter().fold(0, |digit, bit| digit << 1 | bit));
            COMMON.iter().chain(ends).nth(digit).copied().map(char::from)
        });
        forms.push(digits.collect());
    }
    forms
}
