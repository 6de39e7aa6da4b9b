//! A text buffer that keeps markup and content apart: only literals of this program are markup, all else is escaped.

use crate::base::is_invisible;
use std::fmt::{self, Display, Write};

/// HTML under construction.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Content alone.
    pub fn of(content: impl Display) -> Html {
        let mut html = Html::default();
        html.text(content);
        html
    }

    /// Markup: a literal, so never anything that a client sent.
    pub fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Content, safe between tags and inside double quotes.
    pub fn text(&mut self, content: impl Display) -> &mut Html {
        write!(Escaping(&mut self.0), "{content}").expect("writing into memory does not fail");
        self
    }

    /// A value inside a URL's query or path, safe inside double quotes.
    pub fn url_part(&mut self, value: &str) -> &mut Html {
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => self.0.push(char::from(byte)),
                _ => write!(self.0, "%{byte:02X}").expect("writing into memory does not fail"),
            }
        }
        self
    }

    /// Other HTML that was built the same way.
    pub fn append(&mut self, other: Html) -> &mut Html {
        self.0.push_str(&other.0);
        self
    }

    /// The same once more.
    pub fn copy(&self) -> Html {
        Html(self.0.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// Fills a page template: what stands between `{{` and `}}` names one of `parts`.
pub fn fill(template: &'static str, parts: Vec<(&'static str, Html)>) -> String {
    let mut page = Html::default();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("each placeholder of a compiled-in page ends");
        let part = parts.iter().find(|(known, _)| *known == name);
        let (_, part) = part.unwrap_or_else(|| panic!("the compiled-in page asks for {name}, which nobody gives"));
        page.raw(before).append(part.copy());
        rest = after;
    }
    page.raw(rest);
    page.finish()
}

/// Escapes what has a meaning in HTML, and shows what would be invisible or would turn the reading direction.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, content: &str) -> fmt::Result {
        for character in content.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ if is_invisible(character) => write!(self.0, "{}", character.escape_unicode())?,
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_become_markup() {
        let mut html = Html::default();
        html.raw("<p title=\"").text("\"><script>alert('&')</script>").raw("\">");
        assert_eq!(html.finish(), "<p title=\"&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;\">");
    }

    #[test]
    fn invisible_characters_are_shown() {
        let mut html = Html::default();
        html.text("a\u{202e}b\nc\u{0}");
        assert_eq!(html.finish(), "a\\u{202e}b\\u{a}c\\u{0}");
    }

    #[test]
    fn url_parts_are_percent_encoded() {
        let mut html = Html::default();
        html.url_part("a/b&c=\"é");
        assert_eq!(html.finish(), "a%2Fb%26c%3D%22%C3%A9");
    }

    #[test]
    fn part_like_a_placeholder_stays_text() {
        let mut part = Html::default();
        part.text("{{b}}");
        assert_eq!(fill("<{{a}}>", vec![("a", part)]), "<{{b}}>");
    }
}
