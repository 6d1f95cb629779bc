//! Writing XML elements in the order they are asked for.

use crate::moref::Moref;

/// Appends elements to a text. The caller keeps the schema's `sequence` order.
///
/// A character that XML 1.0 cannot carry at all is remembered, so that the call is refused before
/// it is sent instead of being changed silently.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    text: String,
    unsendable: bool,
}

impl Writer {
    /// `<name>…</name>`, with what `body` writes inside.
    pub fn element(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.start(name, &[]);
        body(self);
        self.end(name);
    }

    /// The same with `xsi:type`: a type name of vim25 without prefix, or one with the prefix `xsd:`.
    pub fn typed(&mut self, name: &str, kind: &str, body: impl FnOnce(&mut Self)) {
        self.start(name, &[("xsi:type", kind)]);
        body(self);
        self.end(name);
    }

    /// A simple value.
    pub fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.start(name, &[]);
        self.escape(&value.to_string());
        self.end(name);
    }

    /// A simple value, if there is one.
    pub fn optional(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// A string in a place where the schema says `anyType`.
    pub fn any_string(&mut self, name: &str, value: &str) {
        self.start(name, &[("xsi:type", "xsd:string")]);
        self.escape(value);
        self.end(name);
    }

    /// A reference to a managed object.
    pub fn moref(&mut self, name: &str, moref: &Moref) {
        self.start(name, &[("type", &moref.kind)]);
        self.escape(&moref.value);
        self.end(name);
    }

    /// The text, or nothing if some value cannot be said in XML.
    pub fn finish(self) -> Option<String> {
        (!self.unsendable).then_some(self.text)
    }

    fn start(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push_str("=\"");
            self.escape(value);
            self.text.push('"');
        }
        self.text.push('>');
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    fn escape(&mut self, value: &str) {
        for c in value.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                // A reader turns a bare carriage return into a line feed.
                '\r' => self.text.push_str("&#13;"),
                '\t' | '\n' => self.text.push(c),
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => self.unsendable = true,
                _ => self.text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(body: impl FnOnce(&mut Writer)) -> Option<String> {
        let mut writer = Writer::default();
        body(&mut writer);
        writer.finish()
    }

    #[test]
    fn elements_nest_in_the_order_they_are_written() {
        let text = written(|w| {
            w.element("spec", |w| {
                w.value("b", 1);
                w.value("a", true);
                w.typed("device", "VirtualCdrom", |w| w.optional("key", Some(-1)));
                w.optional("none", None::<i32>);
            });
        });
        assert_eq!(
            text.as_deref(),
            Some(r#"<spec><b>1</b><a>true</a><device xsi:type="VirtualCdrom"><key>-1</key></device></spec>"#)
        );
    }

    #[test]
    fn markup_and_line_ends_survive() {
        let text = written(|w| w.any_string("value", "a<b>&\"'\r\n\tz|ü"));
        assert_eq!(
            text.as_deref(),
            Some("<value xsi:type=\"xsd:string\">a&lt;b&gt;&amp;&quot;'&#13;\n\tz|ü</value>")
        );
    }

    #[test]
    fn references_carry_their_type() {
        let text = written(|w| w.moref("_this", &Moref::new("Folder", "group-v<3")));
        assert_eq!(
            text.as_deref(),
            Some(r#"<_this type="Folder">group-v&lt;3</_this>"#)
        );
    }

    #[test]
    fn what_xml_cannot_carry_is_refused() {
        for bad in ["\u{0}", "a\u{1}b", "\u{1f}", "\u{ffff}"] {
            assert_eq!(written(|w| w.value("v", bad)), None, "{bad:?}");
        }
    }
}
