//! One call over HTTP: sent to one URL after the other until somebody answers or the patience ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::header::{COOKIE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::clock::Moment;
use super::core::{Client, Credential};
use super::error::ClientError;
use super::retry::{Absence, Patience, Pauses};
use super::wire::Named;

/// The name of the session cookie.
const SESSION_COOKIE: &str = "ldlm-session";
/// The header under which a repeated call is known to be the same one.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// What is asked; the same for every attempt.
pub(super) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    /// A header of this call alone.
    header: Option<(&'static str, String)>,
    /// Present where doing it twice would do harm.
    idempotency_key: Option<String>,
}

/// A successful answer.
pub(super) struct Answer {
    /// When the attempt that was answered had not been sent yet.
    pub sent: Moment,
    /// Whether an attempt before may have been done although nobody heard of it.
    pub earlier: bool,
    pub url: String,
    pub headers: HeaderMap,
    pub text: String,
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None, header: None, idempotency_key: None }
    }

    pub fn query(mut self, field: &'static str, value: impl Into<String>) -> Self {
        self.query.push((field, value.into()));
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = Some(serde_json::to_vec(body).expect("our own messages are JSON"));
        self
    }

    /// Makes it safe to send again although it may have been done: under the same key it is done once.
    pub fn once(mut self) -> Self {
        self.idempotency_key = Some(uuid::Uuid::new_v4().to_string());
        self
    }
}

impl Answer {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.text).map_err(|reason| ClientError::Unintelligible { url: self.url.clone(), reason })
    }

    /// What the answer says of a lock, once it is certain that it speaks of the one that was asked about.
    pub fn about<T: Named + DeserializeOwned>(&self, name: &str) -> Result<T, ClientError> {
        let read: T = self.read()?;
        if read.name() == name { Ok(read) } else { Err(self.astray(format!("it names the lock {:?}", read.name()))) }
    }

    pub fn astray(&self, what: impl Into<String>) -> ClientError {
        ClientError::Astray { url: self.url.clone(), what: what.into() }
    }
}

impl Client {
    /// Sends a call until it is answered. What was refused for good is not repeated.
    pub(super) async fn send(&self, call: &Call, patience: Patience) -> Result<Answer, ClientError> {
        self.noticed(self.repeat(call, patience)).await
    }

    /// Does the work, and says so to whoever wants to know where that takes long.
    pub(super) async fn noticed<T>(&self, work: impl Future<Output = T>) -> T {
        let Some((after, notice)) = self.0.notice else { return work.await };
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = Moment::now().after(after).wait() => {}
        }
        notice(&self.0.attempts.errors(&self.0.bases, "no answer yet from"));
        work.await
    }

    async fn repeat(&self, call: &Call, patience: Patience) -> Result<Answer, ClientError> {
        let mut pauses = Pauses::new(patience.pause_max);
        let mut tried = 0;
        let mut earlier = false;
        // In a row. Another node may have a certificate that can be trusted, but asking again makes none.
        let mut misconfigured = 0;
        let mut absence = Absence::new();
        let urls = self.0.bases.len();
        loop {
            let error = match self.attempt(call, patience.attempt).await {
                Ok(answer) => return Ok(Answer { earlier, ..answer }),
                Err(error) => error,
            };
            earlier |= !error.is_refused_connection();
            absence.count(error.is_refused_connection());
            misconfigured = if error.is_misconfigured() { misconfigured + 1 } else { 0 };
            let asked_for = match error.worth_another_try() {
                Some(asked_for) => asked_for,
                None if (1..urls).contains(&misconfigured) => None,
                None => return Err(error),
            };
            self.turn_to_the_next();
            tried += 1;
            if tried < urls {
                continue;
            }
            let pause = if tried % urls == 0 { pauses.next(asked_for) } else { Duration::ZERO };
            let next = Moment::now().after(pause);
            let is_absent = self.0.absence.is_some_and(|longest| absence.lasts(longest, urls, next));
            if next >= patience.until || is_absent {
                return Err(error);
            }
            next.wait().await;
        }
    }

    /// One attempt at the URL whose turn it is.
    pub(super) async fn attempt(&self, call: &Call, timeout: Duration) -> Result<Answer, ClientError> {
        let sent = Moment::now();
        let url = self.url_of(&call.path).to_string();
        let attempt = self.recorded(async {
            let response = self.open(call, timeout).await?;
            let headers = response.headers().clone();
            let text = response.text().await.map_err(|reason| unreachable(&url, reason))?;
            Ok((headers, text))
        });
        let (headers, text) = attempt.await?;
        Ok(Answer { sent, earlier: false, url, headers, text })
    }

    /// An attempt at the URL whose turn it is, noted with how it ends.
    pub(super) async fn recorded<T>(
        &self,
        attempt: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let at = self.0.turn.load(Ordering::Relaxed);
        self.0.attempts.begin(at);
        let attempted = attempt.await;
        self.0.attempts.end(at, attempted.as_ref().err());
        attempted
    }

    /// A successful answer of the URL whose turn it is, its body not read yet.
    pub(super) async fn open(&self, call: &Call, timeout: Duration) -> Result<Response, ClientError> {
        let url = self.url_of(&call.path).to_string();
        let sent = self.request(call).timeout(timeout).send().await.map_err(|reason| unreachable(&url, reason));
        let is_missed = sent.as_ref().is_err_and(ClientError::is_refused_connection);
        let met = if is_missed { &self.0.refused_connection } else { &self.0.reached };
        met.store(true, Ordering::Relaxed);
        let response = sent?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if status.is_success() {
            return Ok(response);
        }
        let mut body = response.text().await.map_err(|reason| unreachable(&url, reason))?;
        if status == StatusCode::UNAUTHORIZED && body.trim().is_empty() {
            body = self.unauthorized();
        }
        Err(ClientError::Refused { url, status, body, retry_after })
    }

    /// What the service says to a wrong credential, or to none, in dialects that have words for it: others have none.
    fn unauthorized(&self) -> String {
        let detail = match &self.0.credential {
            Some(_) => "this password or API key is not known",
            None => "a password or an API key is needed",
        };
        serde_json::json!({ "detail": detail }).to_string()
    }

    /// As [`Client::open`], for an answer that is read for up to `whole`; with the URL that gives it.
    pub(super) async fn open_endless(
        &self,
        call: &Call,
        timeout: Duration,
        whole: Duration,
    ) -> Result<(String, Response), ClientError> {
        let url = self.url_of(&call.path).to_string();
        let opened = self.recorded(async {
            match tokio::time::timeout(timeout, self.open(call, whole)).await {
                Ok(opened) => opened,
                Err(_) => Err(ClientError::Silent { url: url.clone() }),
            }
        });
        opened.await.map(|response| (url, response))
    }

    /// The call as a request to the URL whose turn it is, with all that this client shows.
    fn request(&self, call: &Call) -> reqwest::RequestBuilder {
        let mut url = self.url_of(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self.0.http.request(call.method.clone(), url);
        request = match &self.0.credential {
            Some(Credential::Password(password)) => request.basic_auth("latchd", Some(password)),
            Some(Credential::ApiKey(key)) => request.bearer_auth(key),
            None => request,
        };
        if let Some(session) = &*self.session() {
            request = request.header(COOKIE, format!("{SESSION_COOKIE}={session}"));
        }
        if let Some((name, value)) = &call.header {
            request = request.header(*name, value);
        }
        if let Some(key) = &call.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        match &call.body {
            Some(body) => request.header("content-type", "application/json").body(body.clone()),
            None => request,
        }
    }

    /// Below the URL whose turn it is.
    fn url_of(&self, path: &str) -> Url {
        let bases = &self.0.bases;
        let base = &bases[self.0.turn.load(Ordering::Relaxed) % bases.len()];
        let mut url = base.clone();
        url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
        url
    }

    pub(super) fn turn_to_the_next(&self) {
        self.0.turn.fetch_add(1, Ordering::Relaxed);
    }
}

fn unreachable(url: &str, reason: reqwest::Error) -> ClientError {
    ClientError::Unreachable { url: url.to_owned(), reason: reason.without_url() }
}

/// Seconds; a date in this header is not worth a parser here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
