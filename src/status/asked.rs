//! What the address of a page asks for.

use super::html::Html;
use percent_encoding::percent_decode_str;

/// Marks the address by which a page reads itself anew without a script: nobody has opened it.
const REFRESH: &str = "refresh";

/// The query of a page's address. Invalid UTF-8 is replaced, and then matches nothing.
#[derive(Clone, Copy, Default)]
pub struct Asked<'a>(&'a str);

impl<'a> Asked<'a> {
    pub fn of(query: Option<&'a str>) -> Asked<'a> {
        Asked(query.unwrap_or_default())
    }

    /// A parameter; `None` where it is missing.
    pub fn given(self, name: &str) -> Option<String> {
        let (_, raw) = self.0.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name)?;
        Some(percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned())
    }

    /// The same, empty where it is missing.
    pub fn text(self, name: &str) -> String {
        self.given(name).unwrap_or_default()
    }

    /// Nobody opened the page: it reads itself anew.
    pub fn is_refresh(self) -> bool {
        self.given(REFRESH).is_some()
    }

    /// The query by which the same page reads itself anew.
    pub fn refreshed(self) -> String {
        let opened = self.opened();
        let and = if opened.is_empty() { "" } else { "&" };
        format!("{opened}{and}{REFRESH}=1")
    }

    /// The query as somebody who opens the page has it.
    pub fn opened(self) -> String {
        let is_mark = |pair: &&str| pair.split('=').next() == Some(REFRESH);
        self.0.split('&').filter(|pair| !is_mark(pair)).collect::<Vec<_>>().join("&")
    }

    pub fn number(self, name: &str) -> Option<u64> {
        self.given(name)?.parse().ok()
    }
}

/// The address of one of our pages, with what it is asked.
#[derive(Clone)]
pub struct Href {
    path: &'static str,
    pairs: Vec<(&'static str, String)>,
}

impl Href {
    pub fn to(path: &'static str) -> Href {
        Href { path, pairs: Vec::new() }
    }

    /// With one parameter more, unless it is empty.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Href {
        let value = value.to_string();
        if !value.is_empty() {
            self.pairs.push((name, value));
        }
        self
    }

    /// As it stands in a header.
    pub fn plain(&self) -> String {
        self.written().finish().replace("&amp;", "&")
    }

    /// As it stands inside an attribute.
    pub fn written(&self) -> Html {
        let mut html = Html::default();
        html.raw(self.path);
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            html.raw(if at == 0 { "?" } else { "&amp;" }).raw(name).raw("=").url_part(value);
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_parameters_are_decoded() {
        let text = |query, name: &str| Asked::of(Some(query)).given(name);
        assert_eq!(text("prefix=a%2Fb+c&after=x", "prefix").as_deref(), Some("a/b c"));
        assert_eq!(text("prefix=%ff", "prefix").as_deref(), Some("\u{fffd}"));
        assert_eq!(text("prefix", "prefix"), None);
        assert_eq!(text("", "after"), None);
    }

    #[test]
    fn address_of_a_page_that_reads_itself_anew_is_marked_once() {
        for (query, opened, refreshed) in [
            ("", "", "refresh=1"),
            ("prefix=a%2F&page=2", "prefix=a%2F&page=2", "prefix=a%2F&page=2&refresh=1"),
            ("refresh=1&prefix=a", "prefix=a", "prefix=a&refresh=1"),
            ("refresh", "", "refresh=1"),
            ("refreshed=1", "refreshed=1", "refreshed=1&refresh=1"),
        ] {
            let asked = Asked::of(Some(query));
            assert_eq!((asked.opened().as_str(), asked.refreshed().as_str()), (opened, refreshed));
            assert!(Asked::of(Some(refreshed)).is_refresh() && !Asked::of(Some(opened)).is_refresh());
        }
    }

    #[test]
    fn address_carries_any_text() {
        let href = Href::to("/ui/lock").with("name", "a/b&c=\"<").with("after", "");
        assert_eq!(href.written().finish(), "/ui/lock?name=a%2Fb%26c%3D%22%3C");
    }
}
