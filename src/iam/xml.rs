//! Writing XML: elements, and text that is escaped.

pub(super) struct Xml(String);

impl Xml {
    /// A whole document, whose root has this default namespace.
    pub fn document(root: &str, namespace: &str, write: impl FnOnce(&mut Self)) -> String {
        let mut xml = Self(format!("<{root} xmlns=\"{namespace}\">"));
        write(&mut xml);
        xml.close(root);
        xml.0
    }

    /// `name` is always ours.
    pub fn nest(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        self.open(name);
        write(self);
        self.close(name);
    }

    pub fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        self.escape(text);
        self.close(name);
    }

    /// Nothing where there is nothing.
    pub fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub fn list<T>(&mut self, name: &str, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.nest(name, |xml| {
            for item in items {
                xml.nest("member", |xml| write(xml, item));
            }
        });
    }

    pub fn texts<T: AsRef<str>>(&mut self, name: &str, items: &[T]) {
        self.list(name, items, |xml, item| xml.escape(item.as_ref()));
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '&' => self.0.push_str("&amp;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&apos;"),
                // Parsers turn it into a line feed otherwise.
                '\r' => self.0.push_str("&#xD;"),
                '\t' | '\n' => self.0.push(c),
                // XML 1.0 cannot say these at all.
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped() {
        let written = Xml::document("A", "urn:x", |xml| {
            xml.text("B", "<b attr=\"1\">&'\r\n\u{0}\u{1b}\u{e4}]]>");
            xml.optional("C", None);
            xml.texts("D", &["x", "<"]);
            xml.texts::<&str>("E", &[]);
        });
        assert_eq!(
            written,
            "<A xmlns=\"urn:x\"><B>&lt;b attr=&quot;1&quot;&gt;&amp;&apos;&#xD;\n\u{fffd}\u{fffd}\u{e4}]]&gt;</B>\
             <D><member>x</member><member>&lt;</member></D><E></E></A>"
        );
    }
}
