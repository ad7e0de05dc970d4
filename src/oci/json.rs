//! Reading JSON of strangers without building it.
//!
//! A tree of values takes up to eighty times the bytes of its text (`[{"a":0},…]`), so whoever sends 16 MiB would decide about a gigabyte.
//! Here a document is its text, and its parts are parts of that text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// As much of an error as is told: it may quote a text of megabytes.
const MAX_TOLD_CHARS: usize = 200;

/// Calls `each` with the name and the text of every member of the object that `text` is. The error says what is wrong with it.
pub fn members<'a>(text: &'a [u8], each: impl FnMut(&str, &'a RawValue) -> Result<(), String>) -> Result<(), String> {
    read(text, Members(each))
}

/// Calls `each` with the text of every element of the array that `text` is.
pub fn elements<'a>(text: &'a [u8], each: impl FnMut(&'a RawValue) -> Result<(), String>) -> Result<(), String> {
    read(text, Elements(each))
}

/// The text that `value` is, or `None` where it is something else.
pub fn text<'a>(value: &'a RawValue) -> Option<Cow<'a, str>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let is_text = value.get().starts_with('"');
    is_text.then(|| serde_json::from_str::<Text<'a>>(value.get()).ok().map(|text| text.0)).flatten()
}

/// What serde_json says, as far as it can be told.
pub fn told(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let told: String = whole.chars().take(MAX_TOLD_CHARS).collect();
    if told.len() < whole.len() { told + "…" } else { told }
}

fn read<'a>(text: &'a [u8], seed: impl DeserializeSeed<'a, Value = ()>) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| told(&error))
}

struct Members<F>(F);

struct Elements<F>(F);

impl<'a, F: FnMut(&str, &'a RawValue) -> Result<(), String>> DeserializeSeed<'a> for Members<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a, F: FnMut(&str, &'a RawValue) -> Result<(), String>> Visitor<'a> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Cow<'a, str>, &'a RawValue>()? {
            (self.0)(&name, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

impl<'a, F: FnMut(&'a RawValue) -> Result<(), String>> DeserializeSeed<'a> for Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a, F: FnMut(&'a RawValue) -> Result<(), String>> Visitor<'a> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element::<&'a RawValue>()? {
            (self.0)(element).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A list of which at most `MOST` and one more elements are kept, so that it can be told from a longer one; `null` is an empty one, as
/// programs in Go write it.
pub(super) fn at_most<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    struct AtMost<T, const MOST: usize>(std::marker::PhantomData<T>);

    impl<'de, T: serde::Deserialize<'de>, const MOST: usize> Visitor<'de> for AtMost<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() <= MOST {
                let Some(element) = list.next_element()? else { return Ok(kept) };
                kept.push(element);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    deserializer.deserialize_any(AtMost::<T, MOST>(std::marker::PhantomData))
}

/// The members of an object that are texts; the others are passed over.
pub(super) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<std::collections::BTreeMap<String, String>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = std::collections::BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = Self::Value::new();
            while let Some(name) = map.next_key::<String>()? {
                match map.next_value::<Text>()? {
                    Text(Some(text)) => found.insert(name, text),
                    Text(None) => found.remove(&name),
                };
            }
            Ok(found)
        }
    }
    deserializer.deserialize_any(Texts)
}

/// A text, or anything else, of which nothing is kept.
struct Text(Option<String>);

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        members(text.as_bytes(), |name, value| {
            found.push(format!("{name}={}", value.get()));
            Ok(())
        })
        .map(|()| found)
    }

    #[test]
    fn members_are_parts_of_the_text() {
        assert_eq!(all(r#" {"a": [1, {"b":2}],"\u0062":"x" } "#).unwrap(), [r#"a=[1, {"b":2}]"#, r#"b="x""#]);
        for text in ["", "[]", "{", r#"{"a":1} x"#, r#"{"a":}"#, "null", "{\"a\":\"\u{1}\"}"] {
            assert!(all(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elements_are_parts_of_the_text() {
        let mut found = Vec::new();
        elements(br#"["a", null, {"b": [ ]}]"#, |value| {
            found.push((value.get().to_owned(), text(value).map(Cow::into_owned)));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(r#""a""#.into(), Some("a".into())), ("null".into(), None), (r#"{"b": [ ]}"#.into(), None)]);
        assert!(elements(b"{}", |_| Ok(())).is_err());
        assert!(elements(b"[1]", |_| Err("no".to_owned())).unwrap_err().starts_with("no"));
    }

    #[test]
    fn errors_do_not_quote_megabytes() {
        let long = format!("\"{}\"", "x".repeat(1 << 20));
        let error = serde_json::from_str::<u32>(&long).unwrap_err();
        assert!(error.to_string().len() > 1 << 20 && told(&error).len() < 300);
    }
}
