//! The digests that occur in bytes of which nothing else is understood.

use std::collections::HashSet;

use super::Digest;
use super::json::unicode_escape;

/// Every digest that occurs anywhere in the bytes, each once: in keys, behind `@`, written with
/// JSON's escapes. Of sha256 also the 64 digits alone.
pub fn digests_in(bytes: &[u8]) -> Vec<Digest> {
    let mut found = Found::default();
    found.look_in(bytes);
    if bytes.contains(&b'\\') {
        found.look_in(&unescaped(bytes));
    }
    found.digests
}

#[derive(Default)]
struct Found {
    digests: Vec<Digest>,
    known: HashSet<Digest>,
}

impl Found {
    fn look_in(&mut self, bytes: &[u8]) {
        let is_part = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'+' | b'.' | b'_' | b'-' | b'=')
        };
        for word in bytes.split(|byte| !is_part(byte)) {
            if word.len() >= 18 {
                self.look_in_word(word);
            }
        }
    }

    fn look_in_word(&mut self, word: &[u8]) {
        if let Some(digest) =
            std::str::from_utf8(word).ok().and_then(|text| Digest::parse(text).ok())
        {
            self.push(digest);
            return;
        }
        for run in word.split(|byte| !byte.is_ascii_hexdigit()) {
            if run.len() == SHA256_DIGITS {
                self.push_sha256(run);
            }
        }
        // More may follow, as in `sha256:…_amd64`.
        let mut rest = word;
        while let Some(at) = rest.windows(7).position(|window| window == b"sha256:") {
            rest = &rest[at + 7..];
            if let Some(digits) = rest.get(..SHA256_DIGITS) {
                self.push_sha256(digits);
            }
        }
    }

    fn push_sha256(&mut self, digits: &[u8]) {
        if let Some(digest) = Digest::from_sha256_hex(&digits.to_ascii_lowercase()) {
            self.push(digest);
        }
    }

    fn push(&mut self, digest: Digest) {
        if self.known.insert(digest.clone()) {
            self.digests.push(digest);
        }
    }
}

/// Hexadecimal digits of a sha256 digest.
const SHA256_DIGITS: usize = 64;

/// The bytes with JSON's escapes of ASCII characters resolved, wherever they stand.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = unicode_escape(rest).and_then(|code| u8::try_from(code).ok());
        rest = match (byte, escaped) {
            (b'\\', Some(escaped)) if escaped.is_ascii() => {
                plain.push(escaped);
                &rest[6..]
            }
            (b'\\', _) if after.first() == Some(&b'/') => after,
            _ => {
                plain.push(byte);
                after
            }
        };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn found(text: &str) -> Vec<String> {
        digests_in(text.as_bytes()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_digest_is_found_wherever_it_stands() {
        let digest = format!("sha256:{A}");
        for text in [
            format!(r#"{{"{digest}":1}}"#),
            format!(r#"["reg.example/app@{digest}"]"#),
            format!(r#"["reg.example:5000/app:1.0@{digest}?x=1"]"#),
            format!(r#"["sha256\u003a{A}","sha256:\u0061{}"]"#, &A[1..]),
            format!(r#"{{"alg":"sha256","hex":"{A}"}}"#),
            format!("sha256-{A}.sig"),
            format!("a:{digest}:b"),
            format!("{digest}_amd64"),
            digest.to_uppercase().replace("SHA256", "sha256"),
        ] {
            assert_eq!(found(&text), std::slice::from_ref(&digest), "{text}");
        }
        let sha512 = format!("sha512:{A}{B}");
        assert_eq!(found(&format!(r#"{{"x":"{sha512}"}}"#)), [sha512]);
        assert_eq!(found(&format!("{A}{B}")), [""; 0]);
        assert_eq!(found("https://example.org/a/b sha256:short"), [""; 0]);
    }
}
