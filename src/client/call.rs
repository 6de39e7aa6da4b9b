//! One call over HTTP: sent to one URL after the other until one answers or the retry time ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::core::{Client, Credential};
use super::error::ClientError;
use super::retry::{Backoff, RefusedConnections, RetryPolicy};

/// For calls of any length: longer than any stream.
pub const NO_TIMEOUT: Duration = Duration::from_secs(366 * 24 * 3600);
const SESSION_COOKIE: &str = "ldlm-session";
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A request; the same for every attempt.
#[derive(Clone)]
pub(super) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    headers: Vec<(&'static str, String)>,
}

/// A successful answer.
pub(super) struct Answer {
    /// A moment before the answered attempt was sent.
    pub sent: Moment,
    /// Whether an earlier attempt may have succeeded although its answer was lost.
    pub earlier: bool,
    pub url: String,
    pub headers: HeaderMap,
    pub text: String,
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None, headers: Vec::new() }
    }

    pub fn query(mut self, field: &'static str, value: impl Into<String>) -> Self {
        self.query.push((field, value.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("our own messages are JSON"));
        self
    }

    /// Adds an idempotency key, if repeating the call would do harm.
    pub fn once(self) -> Self {
        self.header(IDEMPOTENCY_KEY, uuid::Uuid::new_v4().to_string())
    }
}

impl Answer {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|reason| ClientError::Unintelligible { url: self.url.clone(), reason })
    }

    /// Reads an answer about a lock, and checks that it names the right one.
    pub fn about<T: DeserializeOwned>(&self, name: &str) -> Result<T, ClientError> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let read = self.read::<Named>()?.name;
        if read == name { self.read() } else { Err(self.wrong_response(format!("it names the lock {read:?}"))) }
    }

    pub fn wrong_response(&self, what: impl Into<String>) -> ClientError {
        ClientError::WrongResponse { url: self.url.clone(), what: what.into() }
    }
}

impl Client {
    /// Sends a call until it is answered. A final refusal is not repeated.
    pub(super) async fn send(&self, call: &Call, policy: RetryPolicy) -> Result<Answer, ClientError> {
        let answered = self.with_notice(self.repeat(policy, || self.attempt(call, policy.attempt))).await;
        answered.map(|(answer, earlier)| Answer { earlier, ..answer })
    }

    /// Does the work, and calls the client's notice if that takes long.
    pub(super) async fn with_notice<T>(&self, work: impl Future<Output = T>) -> T {
        let Some((after, notice)) = self.0.settings.notice else { return work.await };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = Moment::now().after(after).wait() => {}
        }
        notice(&self.0.attempts.errors(&self.0.bases, "no answer yet from"));
        work.await
    }

    /// Repeats an attempt at one URL after the other; with whether an earlier one may have succeeded without an answer.
    pub(super) async fn repeat<T, A: Future<Output = Result<T, ClientError>>>(
        &self,
        policy: RetryPolicy,
        attempt: impl Fn() -> A,
    ) -> Result<(T, bool), ClientError> {
        let mut backoff = Backoff::new(policy.delay_max);
        let mut tried = 0;
        let mut earlier = false;
        // In a row: another node may have a certificate that can be trusted.
        let mut misconfigured = 0;
        let mut refused = RefusedConnections::new();
        let urls = self.0.bases.len();
        loop {
            let error = match attempt().await {
                Ok(answer) => return Ok((answer, earlier)),
                Err(error) => error,
            };
            earlier |= !error.is_refused_connection();
            refused.count(error.is_refused_connection());
            misconfigured = if error.is_misconfigured() { misconfigured + 1 } else { 0 };
            let asked_for = match error.retry_hint() {
                Some(asked_for) => asked_for,
                None if (1..urls).contains(&misconfigured) => None,
                None => return Err(error),
            };
            self.use_next_url();
            tried += 1;
            if tried < urls {
                continue;
            }
            let delay = if tried % urls == 0 { backoff.next(asked_for) } else { Duration::ZERO };
            let next = Moment::now().after(delay);
            let is_unreachable =
                self.0.settings.unreachable_timeout.is_some_and(|timeout| refused.last(timeout, urls, next));
            if next >= policy.until || is_unreachable {
                return Err(error);
            }
            next.wait().await;
        }
    }

    /// One attempt at the current URL.
    pub(super) async fn attempt(&self, call: &Call, timeout: Duration) -> Result<Answer, ClientError> {
        self.recorded(self.attempt_aside(call, timeout)).await
    }

    /// The same for a question beside another call, of whose URLs it must not change what is reported.
    pub(super) async fn attempt_aside(&self, call: &Call, timeout: Duration) -> Result<Answer, ClientError> {
        let sent = Moment::now();
        let (url, response) = self.open(call, timeout).await?;
        let headers = response.headers().clone();
        let text = response.text().await.map_err(|reason| unreachable(&url, reason))?;
        Ok(Answer { sent, earlier: false, url, headers, text })
    }

    /// An attempt at the current URL, whose end is recorded.
    async fn recorded<T>(&self, attempt: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
        let at = self.url_index();
        self.0.attempts.begin(at);
        let attempted = attempt.await;
        self.0.attempts.end(at, attempted.as_ref().err());
        attempted
    }

    /// A successful answer of the current URL, without its body; with the URL.
    async fn open(&self, call: &Call, timeout: Duration) -> Result<(String, Response), ClientError> {
        let url = self.url_of(&call.path).to_string();
        let sent = self.request(call).timeout(timeout).send().await.map_err(|reason| unreachable(&url, reason));
        let is_refused = sent.as_ref().is_err_and(ClientError::is_refused_connection);
        let seen = if is_refused { &self.0.refused_connection } else { &self.0.reached };
        seen.store(true, Ordering::Relaxed);
        let response = sent?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if status.is_success() {
            return Ok((url, response));
        }
        let mut body = response.text().await.map_err(|reason| unreachable(&url, reason))?;
        if status == StatusCode::UNAUTHORIZED && body.trim().is_empty() {
            body = self.unauthorized();
        }
        Err(ClientError::Refused { url, status, body, retry_after })
    }

    /// The problem document that dialects with an empty 401 do not send.
    fn unauthorized(&self) -> String {
        let detail = match &self.0.settings.credential {
            Some(_) => "this password or API key is not known",
            None => "a password or an API key is needed",
        };
        serde_json::json!({ "detail": detail }).to_string()
    }

    /// As [`Client::open`], for an answer of any length: only its head has to come in time.
    pub(super) async fn open_endless(&self, call: &Call, timeout: Duration) -> Result<(String, Response), ClientError> {
        let url = self.url_of(&call.path).to_string();
        let opened = tokio::time::timeout(timeout, self.open(call, NO_TIMEOUT));
        self.recorded(async { opened.await.unwrap_or(Err(ClientError::TimedOut { url })) }).await
    }

    /// The call as a request to the current URL, with the credential and the session.
    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let mut url = self.url_of(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.0.http.request(call.method.clone(), url);
        request = match &self.0.settings.credential {
            Some(Credential::Password(password)) => request.basic_auth("latchd", Some(password)),
            Some(Credential::ApiKey(key)) => request.bearer_auth(key),
            Some(Credential::CurrentApiKey(current)) => request.bearer_auth(current()),
            None => request,
        };
        if let Some(session) = &*self.0.session.lock() {
            request = request.header(COOKIE, format!("{SESSION_COOKIE}={session}"));
        }
        for (name, value) in &self.0.settings.trace {
            request = request.header(*name, value);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        match &call.body {
            Some(body) => request.header("content-type", "application/json").body(body.clone()),
            None => request,
        }
    }

    fn url_of(&self, path: &str) -> Url {
        let base = &self.0.bases[self.url_index()];
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
        url
    }

    fn url_index(&self) -> usize {
        self.0.next_url.load(Ordering::Relaxed) % self.0.bases.len()
    }

    pub(super) fn use_next_url(&self) {
        self.0.next_url.fetch_add(1, Ordering::Relaxed);
    }
}

fn unreachable(url: &str, reason: reqwest::Error) -> ClientError {
    ClientError::Unreachable { url: url.to_owned(), reason: reason.without_url() }
}

/// Seconds; a date in this header is ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
