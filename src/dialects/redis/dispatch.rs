//! From a complete command to its answer.

use super::client::{Client, Done, credential_ended, unidentified};
use super::commands::{Command, OTHER, unknown};
use super::error::RedisError;
use super::reply::{Protocol, Reply};
use super::request::{Request, Violation};
use super::{connection, info, keys, scripts, set};
use crate::access::Verdict;
use crate::engine::GrantGuard;
use crate::http::Failure;
use crate::http::auth::record;

/// What one command was answered with.
pub struct Answer {
    pub reply: Reply,
    pub protocol: Protocol,
    /// Of a grant; lost, the hold is released.
    pub delivery: Option<GrantGuard>,
    /// The connection ends after it.
    pub ends: bool,
    /// One of [`LABELS`](super::LABELS).
    pub command: &'static str,
}

impl Answer {
    pub fn is_error(&self) -> bool {
        matches!(self.reply, Reply::Error(_))
    }
}

impl Client {
    /// Carries out one command. Dropping the future gives up what it was about to take.
    pub async fn execute(&mut self, request: &Request<'_>) -> Answer {
        let command = Command::find(request.get(0));
        if self.identity.as_ref().is_some_and(|identity| !identity.is_valid()) {
            // Its library shows the credential that it has now on the next connection.
            let reply = credential_ended().into_reply();
            let command = command.map_or(OTHER, Command::name);
            return Answer { reply, protocol: self.protocol, delivery: None, ends: true, command };
        }
        let done = match command {
            Some(command) => self.run(command, request).await,
            None if self.identity.is_none() => Err(self.refuse_stranger().await),
            None => Err(unknown(request.get(0))),
        };
        let Done { reply, delivery, ends } = done.unwrap_or_else(|error| error.into_reply().into());
        Answer { reply, protocol: self.protocol, delivery, ends, command: command.map_or(OTHER, Command::name) }
    }

    /// The answer to a connection that is not served.
    pub fn refuse_connection(&self, failure: Failure) -> Answer {
        let reply = RedisError::from(failure).into_reply();
        Answer { reply, protocol: self.protocol, delivery: None, ends: true, command: OTHER }
    }

    /// The answer to bytes that are no command.
    pub fn refuse(&self, violation: &Violation) -> Answer {
        let reply = RedisError::new(violation.to_string()).into_reply();
        Answer { reply, protocol: self.protocol, delivery: None, ends: true, command: OTHER }
    }

    /// Whoever has shown a certificate was refused with it.
    async fn refuse_stranger(&self) -> RedisError {
        if self.shows_certificate() {
            record(&self.shared.app, &Verdict::CertificateRefused, self.from).await;
        }
        unidentified()
    }

    async fn run(&mut self, command: Command, request: &Request<'_>) -> Result<Done, RedisError> {
        if self.identity.is_none() && !command.is_open() {
            return Err(self.refuse_stranger().await);
        }
        if !command.arguments().contains(&request.len()) {
            return Err(RedisError::wrong_arity(command.name()));
        }
        if command.is_counted() {
            self.admit()?;
        }
        match command {
            Command::Set => set::set(self, request).await,
            Command::SetNx => set::setnx(self, request).await,
            Command::Get => keys::get(self, request).await,
            Command::MGet => keys::mget(self, request).await,
            Command::Del | Command::Unlink => keys::delete(self, command.name(), request).await,
            Command::Exists => keys::exists(self, request).await,
            Command::Type => keys::key_type(self, request).await,
            Command::Ttl => keys::remaining(self, request, keys::whole_seconds).await,
            Command::PTtl => keys::remaining(self, request, keys::whole_ms).await,
            Command::Expire => keys::expire(self, command.name(), request, 1000).await,
            Command::PExpire => keys::expire(self, command.name(), request, 1).await,
            Command::Token => keys::token(self, request).await,
            Command::Eval => scripts::run::eval(self, request).await,
            Command::EvalSha => scripts::run::evalsha(self, request).await,
            Command::Script => scripts::run::script(self, request),
            Command::Hello => connection::hello(self, request).await,
            Command::Auth => connection::auth(self, request).await,
            Command::Quit => Ok(Done { ends: true, ..Reply::OK.into() }),
            Command::Reset => Ok(connection::reset(self)),
            Command::Select => connection::select(request),
            Command::Client => connection::client(self, request),
            Command::Ping => Ok(connection::ping(request)),
            Command::Echo => Ok(Reply::Bulk(request.get(1).to_vec().into()).into()),
            Command::Info => Ok(info::info().into()),
            Command::Details => Ok(info::commands(request).into()),
            Command::Time => Ok(info::time().into()),
        }
    }
}
