//! A client connection, shared by its requests and the server: pending deliveries of grants, hooks that run when it closes,
//! and a request to end it.
//!
//! The server calls `wrote`, `flushed` and `closed`. Without a pending delivery, `wrote` and `flushed` cost one atomic load.
//! It puts a [`ClientInfo`] into the extensions of every request.

use crate::access::{ClientCertificate, Unidentified};
use crate::engine::GrantGuard;
use axum::http::request::Parts;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

/// The client's address and scheme: those of the connection, or those that a trusted proxy forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddr {
    pub ip: IpAddr,
    /// Whether the client itself speaks TLS, to us or to the proxy; decides about `Secure` cookies.
    pub https: bool,
}

/// One request extension, so that a request pays for one insertion.
#[derive(Clone)]
pub struct ClientInfo {
    pub client: ClientAddr,
    pub connection: Arc<Connection>,
    /// A proxy stands between: the peer is a trusted one, or the request has the headers that proxies add.
    pub via_proxy: bool,
    /// The resources that the request occupies until its caller is known.
    pub unidentified: Arc<Unidentified>,
}

/// The address of the client. Of a handler called in process it is this machine, in plaintext.
pub(crate) fn client(head: &Parts) -> ClientAddr {
    const LOCAL: ClientAddr = ClientAddr { ip: IpAddr::V4(Ipv4Addr::LOCALHOST), https: false };
    head.extensions.get::<ClientInfo>().map_or(LOCAL, |info| info.client)
}

pub struct Connection {
    id: u64,
    /// Whether any delivery is pending: read without the lock on every write.
    has_pending: AtomicBool,
    state: Mutex<State>,
    certificate: OnceLock<ClientCertificate>,
    may_idle: AtomicBool,
    is_ending: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Default)]
struct State {
    /// Taken by the HTTP layer, perhaps still in its buffers.
    registered: Deliveries,
    /// Something was written since: they are out with the next complete flush.
    written: Deliveries,
    is_closed: bool,
    on_close: Vec<Hook>,
}

type Hook = Box<dyn FnOnce() + Send>;

/// Deliveries; the first, almost always the only one, needs no list.
#[derive(Default)]
struct Deliveries {
    first: Option<GrantGuard>,
    more: Vec<GrantGuard>,
}

impl Default for Connection {
    fn default() -> Connection {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Connection {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            has_pending: AtomicBool::new(false),
            state: Mutex::default(),
            certificate: OnceLock::new(),
            may_idle: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }
}

impl Connection {
    /// No other connection of this process has it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Notes what its client has shown in the handshake.
    pub fn show_certificate(&self, certificate: ClientCertificate) {
        self.certificate.get_or_init(|| certificate);
    }

    pub fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.get()
    }

    /// Registers the delivery of an answer that the HTTP layer has just taken. It is lost with the connection.
    pub fn register(&self, delivery: GrantGuard) {
        let mut state = self.state.lock();
        if state.is_closed {
            drop(state);
            return drop(delivery);
        }
        state.registered.push(delivery);
        self.has_pending.store(true, Ordering::Release);
    }

    /// Some bytes went to the kernel.
    pub fn wrote(&self) {
        if self.has_pending.load(Ordering::Acquire) {
            let mut state = self.state.lock();
            let registered = std::mem::take(&mut state.registered);
            state.written.append(registered);
        }
    }

    /// All that was given to the connection is with the kernel.
    pub fn flushed(&self) {
        if !self.has_pending.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state.lock();
        let delivered = std::mem::take(&mut state.written);
        self.has_pending.store(!state.registered.is_empty(), Ordering::Release);
        drop(state);
        delivered.each(GrantGuard::delivered);
    }

    /// The connection accepts no more bytes. May be called more than once.
    pub fn closed(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        let lost = (std::mem::take(&mut state.registered), std::mem::take(&mut state.written));
        let hooks = std::mem::take(&mut state.on_close);
        self.has_pending.store(false, Ordering::Release);
        drop(state);
        lost.0.each(drop);
        lost.1.each(drop);
        hooks.into_iter().for_each(|hook| hook());
    }

    /// Runs `hook` when the connection closes; `false` if it has closed already, and then the hook never runs.
    pub fn on_close(&self, hook: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.on_close.push(Box::new(hook));
        }
        !state.is_closed
    }

    /// Exempts the connection from the idle timeout.
    pub fn keep_while_idle(&self) {
        self.may_idle.store(true, Ordering::Relaxed);
    }

    pub fn may_idle(&self) -> bool {
        self.may_idle.load(Ordering::Relaxed)
    }

    /// Ends the connection from our side.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.waker.wake();
    }

    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Whether the connection is to end; if not yet, the waker is called when it is.
    pub fn poll_ending(&self, waker: &Waker) -> bool {
        self.waker.register(waker);
        self.is_ending()
    }
}

impl Deliveries {
    fn push(&mut self, delivery: GrantGuard) {
        match self.first {
            None => self.first = Some(delivery),
            Some(_) => self.more.push(delivery),
        }
    }

    fn append(&mut self, other: Self) {
        other.first.into_iter().chain(other.more).for_each(|delivery| self.push(delivery));
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn each(self, act: fn(GrantGuard)) {
        self.first.into_iter().chain(self.more).for_each(act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts the deliveries that were lost.
    #[derive(Clone, Default)]
    struct Lost(Arc<AtomicUsize>);

    impl Lost {
        fn delivery(&self) -> GrantGuard {
            let lost = self.clone();
            GrantGuard::new(move || _ = lost.0.fetch_add(1, Ordering::Relaxed))
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn pending(connection: &Connection) -> bool {
        connection.has_pending.load(Ordering::Relaxed)
    }

    #[test]
    fn delivery_completes_at_the_flush_after_its_write() {
        let (connection, lost) = (Connection::default(), Lost::default());
        connection.register(lost.delivery());
        connection.flushed();
        assert!(pending(&connection), "nothing was written yet");
        connection.wrote();
        connection.register(lost.delivery());
        connection.flushed();
        assert!(pending(&connection), "the second came after the write");
        connection.wrote();
        connection.flushed();
        assert!(!pending(&connection));
        connection.closed();
        assert_eq!(lost.count(), 0);
    }

    #[test]
    fn closed_connection_loses_pending_and_later_deliveries() {
        let (connection, lost) = (Connection::default(), Lost::default());
        connection.register(lost.delivery());
        connection.wrote();
        connection.register(lost.delivery());
        connection.closed();
        assert_eq!(lost.count(), 2);
        connection.register(lost.delivery());
        assert_eq!(lost.count(), 3);
    }

    #[test]
    fn close_hooks_run_once_and_none_is_taken_later() {
        let (connection, ran) = (Connection::default(), Arc::new(AtomicUsize::new(0)));
        let hook = || {
            let ran = Arc::clone(&ran);
            move || _ = ran.fetch_add(1, Ordering::Relaxed)
        };
        assert!(connection.on_close(hook()));
        assert_eq!(ran.load(Ordering::Relaxed), 0);
        connection.closed();
        connection.closed();
        assert_eq!(ran.load(Ordering::Relaxed), 1);
        assert!(!connection.on_close(hook()));
        assert_eq!(ran.load(Ordering::Relaxed), 1);
    }
}
