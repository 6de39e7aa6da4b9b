//! What a client met at each of its URLs, for the message of whoever asked in vain.

use parking_lot::Mutex;
use reqwest::Url;

use super::error::ClientError;

/// What is known of one URL.
#[derive(Clone, Debug, Default)]
struct Met {
    /// An attempt has not ended, or was dropped before it did.
    asked: bool,
    /// Why the last attempt that ended gave no result.
    trouble: Option<String>,
}

/// What is known of all of them, in their order.
#[derive(Debug)]
pub(super) struct Meetings(Mutex<Vec<Met>>);

impl Meetings {
    pub fn new(urls: usize) -> Self {
        Self(Mutex::new(vec![Met::default(); urls]))
    }

    pub fn asked(&self, at: usize) {
        self.with(at, |met| met.asked = true);
    }

    pub fn heard(&self, at: usize, error: Option<&ClientError>) {
        let trouble = error.map(ToString::to_string);
        self.with(at, |met| *met = Met { asked: false, trouble });
    }

    /// The last reason of each URL, and which of them `say_nothing`, such as "no answer in time from".
    pub fn told(&self, urls: &[Url], say_nothing: &str) -> String {
        let met = self.0.lock();
        let of = |(met, url): (&Met, &Url)| match &met.trouble {
            Some(trouble) => Some(trouble.clone()),
            None => met.asked.then(|| format!("{say_nothing} {}", url.as_str().trim_end_matches('/'))),
        };
        met.iter().zip(urls).filter_map(of).collect::<Vec<_>>().join("; ")
    }

    fn with(&self, at: usize, change: impl FnOnce(&mut Met)) {
        let mut met = self.0.lock();
        let count = met.len();
        change(&mut met[at % count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_tells_its_last_reason_and_a_silent_one_that_it_is_silent() {
        let urls = ["http://a:1", "http://b:2", "http://c:3"].map(|url| Url::parse(url).expect(url));
        let meetings = Meetings::new(3);
        assert_eq!(meetings.told(&urls, "no answer from"), "");
        meetings.asked(0);
        meetings.heard(0, Some(&ClientError::Silent { url: "http://a:1/x".to_owned() }));
        meetings.asked(0);
        meetings.asked(4);
        let told = "http://a:1/x cannot be reached: no answer in time; no answer from http://b:2";
        assert_eq!(meetings.told(&urls, "no answer from"), told);
        meetings.heard(0, None);
        assert_eq!(meetings.told(&urls, "no answer from"), "no answer from http://b:2");
    }
}
