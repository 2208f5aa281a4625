//! Reading JSON that others wrote as Go's `encoding/json` reads it, which is what the registry
//! uses: keys match without regard to case, `null` says nothing, bad UTF-8 and lone surrogates
//! become U+FFFD. On top of that a value of an unexpected kind is not an error but "odd", so that
//! a key which means something else to a vendor does not make the whole body unreadable.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a value may be. Each method is asked about one kind of JSON value, and gives `None` for
/// one that makes no sense; the defaults accept nothing.
pub trait Shape<'de>: Sized {
    /// A string.
    fn text(_text: Cow<'de, str>) -> Option<Self> {
        None
    }

    /// A number; `None` unless it is whole, not negative and below 2^64.
    fn number(_number: Option<u64>) -> Option<Self> {
        None
    }

    /// A list. What is not used must be read all the same.
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    /// An object. What is not used must be read all the same.
    fn object<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A value, nothing (`null`), or something odd.
pub struct Lenient<T> {
    /// The value.
    pub value: Option<T>,
    /// There is something else than a value, or something else in it.
    pub is_odd: bool,
}

impl<T> Lenient<T> {
    fn new(value: Option<T>) -> Self {
        Self { is_odd: value.is_none(), value }
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor<T>(PhantomData<T>);
        impl<'de, T: Shape<'de>> Visitor<'de> for AnyVisitor<T> {
            type Value = Lenient<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Lenient { value: None, is_odd: false })
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Lenient::new(None))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Lenient::new(T::number(Some(number))))
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Lenient::new(T::number(None)))
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Lenient::new(T::number(None)))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Lenient::new(T::text(Cow::Borrowed(text))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Lenient::new(T::text(Cow::Owned(text.to_owned()))))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                T::list(list).map(Lenient::new)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::object(map).map(Lenient::new)
            }
        }
        deserializer.deserialize_any(AnyVisitor(PhantomData))
    }
}

impl<'de> Shape<'de> for Cow<'de, str> {
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

/// A number of bytes or a version; one that is negative or not whole says nothing.
pub struct Number(pub Option<u64>);

impl Shape<'_> for Number {
    fn number(number: Option<u64>) -> Option<Self> {
        Some(Self(number))
    }
}

/// A list of objects. What is no object in it is counted and not kept.
pub struct List<T> {
    /// The objects.
    pub items: Vec<T>,
    /// How many other things there were.
    pub odd_count: usize,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new(), odd_count: 0 }
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for List<T> {
    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut found = Self::default();
        while let Some(Lenient { value, .. }) = list.next_element::<Lenient<T>>()? {
            match value {
                Some(item) => found.items.push(item),
                None => found.odd_count += 1,
            }
        }
        Ok(Some(found))
    }
}

/// A key as Go compares it: ASCII letters without regard to case, and the two other characters
/// that fold into ASCII letters.
pub struct Key(pub String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut key = String::deserialize(deserializer)?;
        if key.is_ascii() {
            key.make_ascii_lowercase();
        } else {
            key = key.to_ascii_lowercase().replace('\u{17f}', "s").replace('\u{212a}', "k");
        }
        Ok(Self(key))
    }
}

/// The same text in the strictest JSON: what Go reads and `serde_json` refuses (bad UTF-8, lone
/// surrogates, numbers beyond all measure) is replaced. What neither reads stays unreadable.
pub fn as_go_reads(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(body.len() + 16);
    let mut is_string = false;
    let mut rest = body;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'"' => {
                is_string = !is_string;
                1
            }
            b'\\' if is_string => escape(rest, &mut plain),
            b'-' | b'0'..=b'9' if !is_string => number(rest, &mut plain),
            _ => 1,
        };
        if length == 1 {
            plain.push(byte);
        }
        rest = &rest[length..];
    }
    String::from_utf8_lossy(&plain).into_owned().into_bytes()
}

/// Copies an escape, or U+FFFD in place of a lone surrogate; gives its length.
fn escape(text: &[u8], plain: &mut Vec<u8>) -> usize {
    let next = || text.get(6..).and_then(unicode_escape);
    let is_pair = || next().is_some_and(|code| (0xdc00..=0xdfff).contains(&code));
    let length = match unicode_escape(text) {
        Some(0xd800..=0xdbff) if is_pair() => 12,
        Some(0xd800..=0xdfff) => {
            plain.extend(b"\\ufffd");
            return 6;
        }
        Some(_) => 6,
        None => 2.min(text.len()),
    };
    if length > 1 {
        plain.extend(&text[..length]);
    }
    length
}

/// The number in `\u1234` at the beginning of a text.
pub fn unicode_escape(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | u16::try_from(char::from(digit).to_digit(16)?).ok()?)
    })
}

/// Copies a number, or 0 in place of one that no float can hold; gives its length.
fn number(text: &[u8], plain: &mut Vec<u8>) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E');
    let length = text.iter().take_while(|byte| is_part(byte)).count();
    let digits = &text[..length];
    let value = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<f64>().ok());
    if length == 1 {
        return 1;
    }
    plain.extend(if value.is_some_and(f64::is_infinite) { b"0" } else { digits });
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(body: &[u8], expected: &str) {
        let plain = String::from_utf8(as_go_reads(body)).unwrap();
        assert_eq!(plain, expected);
        assert!(serde_json::from_str::<IgnoredAny>(&plain).is_ok(), "{plain}");
    }

    #[test]
    fn what_go_reads_is_mended_and_nothing_else_is_changed() {
        reads(br#"{"a":"\ud800","\udc00b":1}"#, r#"{"a":"\ufffd","\ufffdb":1}"#);
        reads(
            br#"["\ud83d\ude00","\\ud800","\"\ud800\""]"#,
            r#"["\ud83d\ude00","\\ud800","\"\ufffd\""]"#,
        );
        reads(b"[\"\xff\xfe\"]", "[\"\u{fffd}\u{fffd}\"]");
        reads(b"[1e999,-1E+999,12,0.5,\"1e999\"]", "[0,0,12,0.5,\"1e999\"]");
    }

    #[test]
    fn a_text_that_ends_anywhere_is_no_trouble() {
        let text = b"{\"a\\ud83d\\ude00\":-1e999}";
        for end in 0..=text.len() {
            drop(as_go_reads(&text[..end]));
        }
    }
}
