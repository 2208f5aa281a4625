//! What a link file says: `sha256:` and 64 hex digits, 71 bytes without a newline. Crashes, full
//! disks and editors leave other things (cases 1-5 of the storage facts).

use super::Digest;

/// The most that is read of a link, in bytes.
pub const MAX_LINK_BYTES: usize = 512;

/// What a link says.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkContent {
    /// A digest and nothing else.
    Clean(Digest),
    /// A digest with white space around it.
    Spaced(Digest),
    /// No digest; why.
    Nothing(String),
}

/// Reads the content of a link.
pub fn parse_link(content: &[u8]) -> LinkContent {
    if content.is_empty() {
        return LinkContent::Nothing("the link is empty".into());
    }
    if content.len() >= MAX_LINK_BYTES {
        return LinkContent::Nothing("the link is longer than any digest".into());
    }
    let trimmed = content.trim_ascii();
    let Ok(text) = std::str::from_utf8(trimmed) else {
        return LinkContent::Nothing("the link holds bytes that are no text".into());
    };
    match Digest::parse(text) {
        Ok(digest) if trimmed.len() == content.len() => LinkContent::Clean(digest),
        Ok(digest) => LinkContent::Spaced(digest),
        Err(error) => LinkContent::Nothing(format!("the link holds {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_link_is_a_digest_and_nothing_else() {
        let digest = Digest::parse(DIGEST).unwrap();
        assert_eq!(parse_link(DIGEST.as_bytes()), LinkContent::Clean(digest.clone()));
        assert_eq!(parse_link(format!("{DIGEST}\r\n").as_bytes()), LinkContent::Spaced(digest));
    }

    #[test]
    fn anything_else_is_said_in_words() {
        assert_eq!(parse_link(b""), LinkContent::Nothing("the link is empty".into()));
        let LinkContent::Nothing(reason) = parse_link(b"sha256:abc") else { panic!() };
        assert!(reason.contains("`sha256:abc` is not a digest"), "{reason}");
        assert!(matches!(parse_link(&[0xff; 71]), LinkContent::Nothing(_)));
        assert!(matches!(parse_link(&[b'a'; 4096]), LinkContent::Nothing(_)));
    }
}
