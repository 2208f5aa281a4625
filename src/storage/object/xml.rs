//! Answers that are XML: their leaves in order, without a tree.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

/// As deep as an answer of a provider may go.
const MAX_DEPTH: usize = 16;

/// What [`each`] meets.
#[derive(Debug)]
pub(super) enum Node<'a> {
    /// An element without elements in it.
    Leaf {
        /// Names of the elements from the root on, joined with `/`, without the root's own.
        path: &'a str,
        /// Its text.
        text: &'a str,
        /// Whether it has the attribute `Encoded="true"` (Azure: the text is percent-encoded).
        is_encoded: bool,
    },
    /// The end of an element with elements in it.
    End {
        /// As of a leaf.
        path: &'a str,
    },
}

/// Gives all leaves and ends to `take`.
///
/// # Errors
/// When it is no XML, does not end, or is deeper than any answer is.
pub(super) fn each(bytes: &[u8], take: &mut dyn FnMut(Node<'_>)) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    // The path, and for each open element where its name begins in it and whether it has elements.
    let mut path = String::new();
    let mut open: Vec<(usize, bool)> = Vec::new();
    let mut content = String::new();
    let mut is_encoded = false;
    let mut has_root = false;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                if open.len() >= MAX_DEPTH {
                    return Err("it is nested too deep".to_owned());
                }
                if let Some((_, has_elements)) = open.last_mut() {
                    *has_elements = true;
                } else if std::mem::replace(&mut has_root, true) {
                    return Err("it has two roots".to_owned());
                }
                let begin = path.len();
                if !open.is_empty() {
                    if !path.is_empty() {
                        path.push('/');
                    }
                    path.push_str(start.local_name().as_ref());
                }
                is_encoded = start
                    .attributes()
                    .flatten()
                    .any(|a| a.key.as_ref() == "Encoded" && a.value.as_ref() == "true");
                open.push((begin, false));
                content.clear();
            }
            Event::End(_) => {
                let Some((begin, has_elements)) = open.pop() else {
                    return Err("an element ends that did not begin".to_owned());
                };
                if !open.is_empty() {
                    take(if has_elements {
                        Node::End { path: &path }
                    } else {
                        Node::Leaf { path: &path, text: &content, is_encoded }
                    });
                }
                path.truncate(begin);
                content.clear();
            }
            Event::Text(text) => content.push_str(&text),
            Event::CData(text) => content.push_str(&text),
            Event::GeneralRef(reference) => {
                if let Ok(Some(character)) = reference.resolve_char_ref() {
                    content.push(character);
                } else if let Some(known) = resolve_xml_entity(&reference) {
                    content.push_str(known);
                } else {
                    // Not a character that XML can hold: it is shown as one that is none.
                    content.push(char::REPLACEMENT_CHARACTER);
                }
            }
            Event::Eof if open.is_empty() && has_root => return Ok(()),
            Event::Eof => return Err("it ends early".to_owned()),
            _ => {}
        }
    }
}

/// The text of the first leaf at `path`.
pub(super) fn leaf(bytes: &[u8], path: &str) -> Option<String> {
    let mut found = None;
    let whole = each(bytes, &mut |node| {
        if let Node::Leaf { path: at, text, .. } = node
            && at == path
            && found.is_none()
        {
            found = Some(text.to_owned());
        }
    });
    whole.ok().and(found)
}

/// A text as it stands in an element; `None` when XML 1.0 cannot hold it.
pub(super) fn escaped(text: &str) -> Option<String> {
    let is_held = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().all(is_held).then(|| quick_xml::escape::escape(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut found = Vec::new();
        each(text.as_bytes(), &mut |node| {
            if let Node::Leaf { path, text, .. } = node {
                found.push((path.to_owned(), text.to_owned()));
            }
        })?;
        Ok(found)
    }

    #[test]
    fn leaves_have_their_paths_and_texts() {
        let found = leaves(
            "<?xml version='1.0'?>\n<R xmlns='u'><A> x&amp;&#65; </A><B><C/><C>2</C></B></R>",
        );
        let expected = [("A", " x&A "), ("B/C", ""), ("B/C", "2")];
        assert_eq!(found.unwrap(), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn what_ends_early_is_an_error_at_every_byte() {
        let whole = "<R><A>1</A><B><C>2</C></B></R>";
        for end in 0..whole.len() {
            assert!(leaves(&whole[..end]).is_err(), "{end}");
        }
        assert!(leaves(whole).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in any::<Vec<u8>>()) {
            drop(each(&bytes, &mut |_| {}));
        }

        #[test]
        fn what_is_escaped_comes_back(text in any::<String>()) {
            if let Some(escaped) = escaped(&text) {
                let found = leaves(&format!("<R><A>{escaped}</A></R>")).unwrap();
                prop_assert_eq!(&found[0].1, &text);
            }
        }
    }
}
