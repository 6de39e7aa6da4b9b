//! When the keys of one issuer are fetched, and what the log hears of it.

use super::fetch::{Fetched, Source};
use crate::access::oidc::IdentityTokens;
use crate::base::clock::{self, Stopwatch};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// A whole fetch, the discovery document included.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// What an issuer says about how long its keys stay fresh is believed between these.
const FRESH_MIN: Duration = Duration::from_secs(60);
const FRESH_MAX: Duration = Duration::from_secs(24 * 3600);
/// Where it says nothing.
const FRESH_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// The pause after a failed fetch doubles from the first to the second.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// An issuer that does not answer is told of again after this.
const LOG_AGAIN: Duration = Duration::from_secs(3600);

/// For as long as the process lives.
pub async fn run(tokens: Arc<IdentityTokens>, at: usize, source: Source, age_max: Duration) {
    let mut health = Health::default();
    loop {
        tokens.begin_fetch(at, clock::process_age());
        let pause = match fetch(&source).await {
            Ok(Fetched { keys, fresh_for }) => {
                health.succeeded(&source, keys.len());
                tokens.publish(at, keys, clock::unix_time());
                fresh_for.unwrap_or(FRESH_DEFAULT).clamp(FRESH_MIN, FRESH_MAX).min(age_max)
            }
            Err(why) => {
                tokens.note_failed_fetch(at);
                if health.failed(&source, &why, age_max) {
                    tokens.forget_keys(at);
                }
                health.pause()
            }
        };
        tokens.end_fetch(at);
        tokio::select! {
            () = sleep(pause) => {}
            () = tokens.fetch_wanted(at) => {}
        }
    }
}

/// In a task of its own, so that a panic in a library is a fetch that failed.
pub(super) async fn fetch(source: &Source) -> Result<Fetched, String> {
    let source = source.clone();
    let fetching = tokio::spawn(async move { timeout(FETCH_TIMEOUT, source.fetch()).await });
    match fetching.await {
        Ok(Ok(fetched)) => fetched,
        Ok(Err(_)) => Err(format!("no whole answer came within {} s", FETCH_TIMEOUT.as_secs())),
        Err(_) => Err("the fetch broke off".to_owned()),
    }
}

/// How the fetches went lately.
#[derive(Default)]
struct Health {
    failures: u32,
    last_success: Option<Stopwatch>,
    told: Option<Stopwatch>,
    has_forgotten: bool,
    /// The last fetch brought no key.
    is_empty: bool,
}

impl Health {
    fn succeeded(&mut self, source: &Source, keys: usize) {
        let issuer = source.issuer();
        if keys == 0 {
            if !self.is_empty {
                tracing::warn!(issuer, "the issuer {issuer} publishes no key: no token of it is accepted");
            }
        } else if self.failures > 0 || self.last_success.is_none() || self.is_empty {
            tracing::info!(issuer, keys, "the keys of the issuer {issuer} were fetched");
        }
        *self = Health { last_success: Some(Stopwatch::start()), is_empty: keys == 0, ..Health::default() };
    }

    /// Whether the keys are now too old to be relied on.
    fn failed(&mut self, source: &Source, why: &str, age_max: Duration) -> bool {
        self.failures = self.failures.saturating_add(1);
        let is_old = self.last_success.is_some_and(|success| success.age() >= age_max);
        let forgets = is_old && !std::mem::replace(&mut self.has_forgotten, is_old);
        if forgets || self.told.is_none_or(|told| told.age() >= LOG_AGAIN) {
            self.told = Some(Stopwatch::start());
            let consequence = match (self.last_success, is_old) {
                (None, _) => "no token of it is accepted",
                (Some(_), true) => {
                    "its keys are too old (access.oidc_keys_age_max), and no token of it is accepted any more"
                }
                (Some(_), false) => "its last keys are used meanwhile",
            };
            let issuer = source.issuer();
            tracing::warn!(issuer, why, "the keys of the issuer {issuer} cannot be fetched, {consequence}: {why}");
        }
        forgets
    }

    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(10);
        (RETRY_MIN * 2_u32.pow(doublings)).min(RETRY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::oidc::IssuerSettings;

    fn source() -> Source {
        let settings = serde_json::json!({
            "issuer": "http://127.0.0.1:1", "audience": "a", "rules": [{"claims": {"sub": "x"}, "role": "client"}]
        });
        Source::of(&serde_json::from_value::<IssuerSettings>(settings).expect("settings"))
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_used_for_a_while_without_issuer_and_then_forgotten_once() {
        let (source, day) = (source(), Duration::from_secs(86_400));
        let mut health = Health::default();
        assert!(!health.failed(&source, "-", day), "there is nothing to forget");
        health.succeeded(&source, 1);
        sleep(day - Duration::from_secs(1)).await;
        assert!(!health.failed(&source, "-", day));
        sleep(Duration::from_secs(1)).await;
        assert!(health.failed(&source, "-", day) && !health.failed(&source, "-", day));
        health.succeeded(&source, 1);
        sleep(day).await;
        assert!(health.failed(&source, "-", day), "and again after the next success");
    }

    #[test]
    fn pause_after_failures_grows_to_a_minute() {
        let pause = |failures| Health { failures, ..Health::default() }.pause().as_secs();
        assert_eq!([1, 2, 3, 6, 100].map(pause), [2, 4, 8, 60, 60]);
    }
}
