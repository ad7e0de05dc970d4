//! Text of log lines: `key=value` pairs that a person reads and that logfmt's parsers take.
//!
//! Quoting goes by content and not by type: much of what is logged comes from outside, and nobody outside may end a value, begin
//! another field or another line, or move a terminal.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Fields of a line: the message first, as it is, and `key=value` for each other.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor { writer, is_empty: true, result: Ok(()), text: String::new() };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Visitor<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
    /// Room for one value after the other.
    text: String,
}

impl Visitor<'_> {
    fn pair(&mut self, field: &Field, text: &str) {
        if self.result.is_ok() {
            self.result = self.try_pair(field.name(), text);
        }
    }

    fn try_pair(&mut self, name: &str, text: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        if name == "message" {
            return escaped(&mut self.writer, text, is_plain);
        }
        let (italic, reset) = if self.writer.has_ansi_escapes() { ("\x1b[3m", "\x1b[0m") } else { ("", "") };
        write!(self.writer, "{italic}{name}{reset}=")?;
        value(&mut self.writer, text)
    }
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.pair(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        // Only what writes itself can fail here, and what it wrote by then is worth a line.
        let _ = write!(text, "{value:?}");
        self.pair(field, &text);
        self.text = text;
    }
}

/// Writes the text bare where it is one word, and else in quotes.
fn value(out: &mut impl Write, text: &str) -> fmt::Result {
    if is_word(text) || is_quoted(text) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    escaped(out, text, |c| is_plain(c) && !matches!(c, '"' | '\\'))?;
    out.write_char('"')
}

/// Writes other characters than `plain` ones as JSON does.
fn escaped(out: &mut impl Write, text: &str, plain: impl Fn(char) -> bool) -> fmt::Result {
    for c in text.chars() {
        match c {
            c if plain(c) => out.write_char(c)?,
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_plain(c) && !c.is_whitespace() && !matches!(c, '"' | '\\' | '='))
}

/// Text as `{:?}` writes it, of which nothing comes out of the quotes.
fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return false };
    let mut is_escaped = false;
    for c in inner.chars() {
        match c {
            c if !is_plain(c) => return false,
            '"' if !is_escaped => return false,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    !is_escaped
}

/// Neither moves a terminal or ends a line, nor changes in which direction others are read.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn lines(log: impl FnOnce()) -> String {
        let written = Written::default();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(written.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_level(false)
            .fmt_fields(Fields);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// A reader of logfmt that knows nothing of how it was written.
    fn parse(line: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut rest = line.trim_start();
        while !rest.is_empty() {
            let (key, after) = rest.split_once('=').expect("a key");
            assert!(!key.contains([' ', '"']), "{key:?} in {line:?}");
            let (value, after) = if after.starts_with('"') {
                let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
                let value = values.next().expect("a value").expect("a quoted value");
                (value, &after[values.byte_offset()..])
            } else {
                let end = after.find(' ').unwrap_or(after.len());
                (after[..end].to_owned(), &after[end..])
            };
            assert!(after.is_empty() || after.starts_with(' '), "{after:?} in {line:?}");
            pairs.push((key.to_owned(), value));
            rest = after.trim_start();
        }
        pairs
    }

    #[test]
    fn p06_values_are_quoted_by_what_is_in_them() {
        let text = lines(|| {
            let (agent, error) = ("x status=500 error=\"disk\"", "cannot reserve space for \"/x\": No space left");
            tracing::info!(method = "GET", path = %"/v2/", user_agent = %agent, error = %error, bytes = 5_u64, none = "");
            tracing::info!(file = ?std::path::Path::new("a b"), cut = %"\"a\" b=\"c\"", "opened\n\u{1b}[2J it");
        });
        let expected = "method=GET path=/v2/ user_agent=\"x status=500 error=\\\"disk\\\"\" \
                        error=\"cannot reserve space for \\\"/x\\\": No space left\" bytes=5 none=\"\"\n\
                        opened\\n\\u001b[2J it file=\"a b\" cut=\"\\\"a\\\" b=\\\"c\\\"\"\n";
        assert_eq!(text, expected);
    }

    proptest! {
        /// Nobody outside writes a field, ends a line, or changes a value.
        #[test]
        fn p06_nothing_comes_out_of_its_value(texts in proptest::collection::vec(any::<String>(), 3), odd in "[ \"\\\\=\n\u{1b}\u{202e}a]{0,12}") {
            let (one, two, three) = (&texts[0], &texts[1], &texts[2]);
            let text = lines(|| tracing::info!(one = one.as_str(), two = %two, odd = %odd, three = %three, status = 200));
            prop_assert_eq!(text.matches('\n').count(), 1);
            let line = text.trim_end_matches('\n');
            prop_assert!(line.chars().all(is_plain), "{:?}", line);
            let pairs = parse(line);
            let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(names, ["one", "two", "odd", "three", "status"]);
            for ((_, read), written) in pairs.iter().zip([one, two, &odd, three]) {
                // What is one quoted text already is left as it is.
                prop_assert!(read == written || is_quoted(written), "{:?} {:?}", read, written);
            }
            prop_assert_eq!(pairs[4].1.as_str(), "200");
        }
    }
}
