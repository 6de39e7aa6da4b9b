//! How the last attempt at each URL ended, for error messages.

use parking_lot::Mutex;
use reqwest::Url;

use super::error::ClientError;

/// What is known of one URL.
#[derive(Clone, Debug, Default)]
struct LastAttempt {
    /// An attempt has not ended, or was dropped before it did.
    pending: bool,
    /// Why the last attempt that ended gave no result.
    error: Option<String>,
}

/// The last attempts, in the order of the URLs.
#[derive(Debug)]
pub(super) struct AttemptLog(Mutex<Vec<LastAttempt>>);

impl AttemptLog {
    pub fn new(urls: usize) -> Self {
        Self(Mutex::new(vec![LastAttempt::default(); urls]))
    }

    pub fn begin(&self, at: usize) {
        self.with(at, |last| last.pending = true);
    }

    pub fn end(&self, at: usize, error: Option<&ClientError>) {
        let error = error.map(ToString::to_string);
        self.with(at, |last| *last = LastAttempt { pending: false, error });
    }

    /// The last error of each URL; `silence` introduces those without an answer, such as "no answer in time from".
    pub fn errors(&self, urls: &[Url], silence: &str) -> String {
        let attempts = self.0.lock();
        let of = |(last, url): (&LastAttempt, &Url)| match &last.error {
            Some(error) => Some(error.clone()),
            None => last.pending.then(|| format!("{silence} {}", url.as_str().trim_end_matches('/'))),
        };
        attempts.iter().zip(urls).filter_map(of).collect::<Vec<_>>().join("; ")
    }

    fn with(&self, at: usize, change: impl FnOnce(&mut LastAttempt)) {
        let mut attempts = self.0.lock();
        let count = attempts.len();
        change(&mut attempts[at % count]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_reports_its_last_error_or_silence() {
        let urls = ["http://a:1", "http://b:2", "http://c:3"].map(|url| Url::parse(url).expect(url));
        let attempts = AttemptLog::new(3);
        assert_eq!(attempts.errors(&urls, "no answer from"), "");
        attempts.begin(0);
        attempts.end(0, Some(&ClientError::Silent { url: "http://a:1/x".to_owned() }));
        attempts.begin(0);
        attempts.begin(4);
        let told = "http://a:1/x cannot be reached: no answer in time; no answer from http://b:2";
        assert_eq!(attempts.errors(&urls, "no answer from"), told);
        attempts.end(0, None);
        assert_eq!(attempts.errors(&urls, "no answer from"), "no answer from http://b:2");
    }
}
