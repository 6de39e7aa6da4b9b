//! One connected client: what it has said about itself, and what it may do.

use super::Shared;
use super::error::RedisError;
use super::holds::Holds;
use super::reply::{Protocol, Reply};
use super::request::Bounds;
use crate::access::{ClientCertificate, Identity};
use crate::base::address_group::AddressGroup;
use crate::base::bounded_map::BoundedMap;
use crate::domain::{Caller, HoldKey, Name};
use crate::engine::GrantGuard;
use crate::http::connection::Connection;
use crate::http::rates;
use std::net::IpAddr;
use std::sync::Arc;

pub struct Client {
    pub(super) shared: Arc<Shared>,
    pub(super) from: IpAddr,
    pub(super) is_proxy: bool,
    /// No other connection of this process has it.
    pub(super) id: u64,
    pub(super) connection: Arc<Connection>,
    /// `None` until it has shown a credential.
    pub(super) identity: Option<Identity>,
    pub(super) protocol: Protocol,
    /// As it calls itself.
    pub(super) name: Vec<u8>,
    /// The holds that this connection took, by each of their names: it may release them without their value. The newest
    /// names only; those that it has released are not among them.
    pub(super) own: BoundedMap<Name, HoldKey>,
}

/// What a command has done.
pub struct Done {
    pub reply: Reply,
    pub delivery: Option<GrantGuard>,
    pub ends: bool,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Done {
        Done { reply, delivery: None, ends: false }
    }
}

impl Client {
    /// `is_proxy`: whoever connects through a proxy on this machine is not on this machine.
    pub fn new(shared: &Arc<Shared>, from: IpAddr, is_proxy: bool, connection: &Arc<Connection>) -> Client {
        let access = &shared.app.access;
        let certificate = certificate(connection, is_proxy);
        let by_certificate = || certificate.and_then(|certificate| access.of_certificate(certificate));
        let anonymous = access.is_open().then(|| access.anonymous(from.is_loopback() && !is_proxy).clone());
        Client {
            from,
            is_proxy,
            id: connection.id(),
            connection: Arc::clone(connection),
            identity: anonymous.or_else(by_certificate),
            protocol: Protocol::default(),
            name: Vec::new(),
            own: BoundedMap::new(shared.config.connection_holds_max),
            shared: Arc::clone(shared),
        }
    }

    pub(super) fn shows_certificate(&self) -> bool {
        certificate(&self.connection, self.is_proxy).is_some()
    }

    /// What its next command may be.
    pub fn bounds(&self) -> Bounds {
        let config = &self.shared.config;
        let (command_bytes, command_bytes_key) = match self.identity {
            Some(_) => (config.command_bytes_max, "redis.command_bytes_max"),
            None => (config.unidentified_command_bytes_max, "redis.unidentified_command_bytes_max"),
        };
        Bounds { command_bytes, command_bytes_key, arguments: config.arguments_max }
    }

    /// The engine, as this client may use it.
    pub(super) fn holds(&self) -> Result<Holds<'_>, RedisError> {
        let identity = self.identity.as_ref().ok_or_else(unidentified)?;
        let caller = Caller { credential: identity.credential, address: AddressGroup::from(self.from).number() };
        Ok(Holds { app: &self.shared.app, identity, caller, from: self.from })
    }

    /// Counts a command against the rate of its credential.
    pub(super) fn admit(&self) -> Result<(), RedisError> {
        let identity = self.identity.as_ref().ok_or_else(unidentified)?;
        Ok(rates::admit_caller(&self.shared.app, identity)?)
    }

    /// Remembers that this connection took a hold of these names.
    pub(super) fn took(&mut self, names: &[Name], key: HoldKey) {
        for name in names {
            self.own.insert_newest(name.clone(), key);
        }
    }

    /// Forgets its holds of these names, as far as they have ended.
    pub(super) fn forget_ended(&mut self, names: &[Name]) {
        for name in names {
            let engine = &self.shared.app.engine;
            if self.own.get(name).is_some_and(|key| engine.local_hold(name, *key).is_none()) {
                self.own.remove(name);
            }
        }
    }
}

/// A proxy's certificate is not that of the client behind it.
fn certificate(connection: &Connection, is_proxy: bool) -> Option<&ClientCertificate> {
    connection.certificate().filter(|_| !is_proxy)
}

pub fn unidentified() -> RedisError {
    RedisError::with_prefix("NOAUTH", "Authentication required: send AUTH or HELLO with a password or an API key")
}

pub fn credential_ended() -> RedisError {
    RedisError::with_prefix("NOAUTH", "the credential of this connection was taken away or has expired: connect anew")
}
