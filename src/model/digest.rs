//! Content digests, typed.
//!
//! Grammar: OCI image specification, descriptor.md "Digests": `algorithm ":" encoded`, algorithm
//! components `[a-z0-9]+` joined by one of `+._-`, encoded `[a-zA-Z0-9=_-]+`. Registries write
//! sha256; sha512 and tarsum appear as names of layer links.

use std::fmt;

/// A digest. Ordered as regsql orders blobs everywhere: sha256 by bytes first, then all others by
/// text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Digest {
    /// The 32 bytes of a sha256 digest.
    Sha256([u8; 32]),
    /// Any other algorithm, as its whole text. At most [`Digest::MAX_LEN`] bytes.
    Other(Box<str>),
}

/// A text that is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a digest (expected sha256: and 64 hex digits)", text = shown(.0))]
pub struct NotADigest(pub String);

/// A hostile manifest may hold megabytes where a digest should stand; an error need not repeat it.
fn shown(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Digest {
    /// The longest digest accepted, in bytes. A sha512 digest has 135.
    pub const MAX_LEN: usize = 255;

    /// Parses `algorithm:encoded`. A sha256 digest must have 64 lower-case hex digits, as the
    /// registry demands; a sha512 one 128.
    pub fn parse(text: &str) -> Result<Self, NotADigest> {
        let error = || NotADigest(text.to_owned());
        if let Some(hex) = text.strip_prefix("sha256:") {
            return Self::from_sha256_hex(hex.as_bytes()).ok_or_else(error);
        }
        let (algorithm, encoded) = text.split_once(':').ok_or_else(error)?;
        let algorithm_is_valid = algorithm.split(['+', '.', '_', '-']).all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
        let encoded_is_valid = encoded.len() >= 16
            && encoded
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'));
        let sha512_is_valid =
            algorithm != "sha512" || (encoded.len() == 128 && is_lower_hex(encoded.as_bytes()));
        if text.len() <= Self::MAX_LEN && algorithm_is_valid && encoded_is_valid && sha512_is_valid
        {
            Ok(Self::Other(text.into()))
        } else {
            Err(error())
        }
    }

    /// A sha256 digest from its 64 lower-case hex digits.
    pub fn from_sha256_hex(hex: &[u8]) -> Option<Self> {
        if hex.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = lower_hex_value(pair[0])? << 4 | lower_hex_value(pair[1])?;
        }
        Some(Self::Sha256(bytes))
    }

    /// The same as [`Self::parse`] of `algorithm:encoded`. Most digests are sha256, which need no text.
    pub fn from_parts(algorithm: &str, encoded: &str) -> Option<Self> {
        match algorithm {
            "sha256" => Self::from_sha256_hex(encoded.as_bytes()),
            _ => Self::parse(&format!("{algorithm}:{encoded}")).ok(),
        }
    }

    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        use sha2::Digest as _;
        Self::Sha256(sha2::Sha256::digest(content).into())
    }

    /// The part behind the colon.
    pub fn encoded(&self) -> String {
        match self {
            Self::Sha256(bytes) => to_hex(bytes),
            Self::Other(text) => text.split_once(':').map_or("", |(_, encoded)| encoded).to_owned(),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(bytes) => write!(f, "sha256:{}", to_hex(bytes)),
            Self::Other(text) => f.write_str(text),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(HEX[usize::from(byte >> 4)] as char);
        text.push(HEX[usize::from(byte & 15)] as char);
    }
    text
}

fn is_lower_hex(text: &[u8]) -> bool {
    text.iter().all(|&byte| lower_hex_value(byte).is_some())
}

fn lower_hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sha256_digest_survives_a_round_trip() {
        let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::parse(text).unwrap().to_string(), text);
        assert_eq!(Digest::of(b"").to_string(), text);
    }

    #[test]
    fn a_digest_that_climbs_paths_is_refused() {
        for text in [
            "sha256:../../../etc/passwd",
            "sha256:",
            "../x:aaaaaaaaaaaaaaaaaaaa",
            "sha256:ABC",
            "a:b/c",
        ] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_algorithms_are_kept_as_text() {
        let text = format!("sha512:{}", "ab".repeat(64));
        assert_eq!(Digest::parse(&text).unwrap().to_string(), text);
        assert!(Digest::parse("sha512:abcdabcdabcdabcdabcd").is_err());
        assert!(Digest::parse("tarsum.v1+sha256:abcdabcdabcdabcdabcd").is_ok());
    }

    #[test]
    fn an_error_about_a_huge_text_stays_short() {
        let error = Digest::parse(&"ü".repeat(5000)).unwrap_err().to_string();
        assert!(error.chars().count() < 200, "{error}");
    }
}
