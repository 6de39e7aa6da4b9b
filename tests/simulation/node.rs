//! One simulated node: its disk, and while it runs a tokio runtime with a clock of its own.
//!
//! Nothing of a node runs but when the world drives it, so a pause is not to be driven, a crash is to drop the runtime,
//! and a clock that drifts is to be driven for longer or shorter than it took. A pause stops the process as SIGSTOP
//! does: connections stay open and what is sent to it waits in its kernel; when it goes on, its clock has jumped and all
//! its timers are due at once. What this does not cover: threads that are stopped one by one, and a disk that works on
//! while its process is stopped.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use latchd::config::ListenUrl;
use latchd::domain::Limits;
use latchd::engine::{ClusterOptions, Engine, EngineOptions, StorageOptions};
use latchd::raft::Transport;
use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};
use tokio::time::Instant;

use super::disk::SimulatedDisk;
use super::network::{Millis, Network};
use super::stream::{Line, address};
use crate::engine::service;

/// Clocks run at most this much too fast or too slow, in millionths: fifty times worse than a quartz.
pub const DRIFT_MAX_PPM: i64 = 10_000;
pub const SYNC: Duration = Duration::from_millis(2);
/// Small, so that a run of seconds takes snapshots, and sends some.
const SNAPSHOT_LOG_BYTES: u64 = 24 << 10;

pub struct Node {
    pub id: u64,
    pub disk: SimulatedDisk,
    /// The nodes that it is started with; empty for one that begins alone.
    initial: Vec<u64>,
    /// Whether the next process is started without a way to other nodes.
    pub is_standalone: bool,
    pub run: Option<Run>,
    pub paused: bool,
    /// The process was told to end and has nothing left to do.
    pub has_ended: Arc<AtomicBool>,
}

/// A process of a node.
pub struct Run {
    runtime: Runtime,
    engine: Arc<OnceLock<Engine>>,
    /// When it was started, by true time and by its own clock.
    began: (Millis, Instant),
    drift_ppm: i64,
}

impl Node {
    pub fn new(id: u64, initial: &[u64]) -> Node {
        Node {
            id,
            disk: SimulatedDisk::new(SYNC),
            initial: initial.to_vec(),
            is_standalone: initial.is_empty(),
            run: None,
            paused: false,
            has_ended: Arc::default(),
        }
    }

    pub fn start(&mut self, now: Millis, network: &Network, drift_ppm: i64) {
        let runtime = simulated_runtime();
        let transport = (!self.is_standalone).then(|| Arc::new(Line::new(self.id, network)) as Arc<dyn Transport>);
        let options = options(self.id, &self.initial, transport, &self.disk);
        let engine = Arc::new(OnceLock::new());
        let began = {
            let _inside = runtime.enter();
            Instant::now()
        };
        let slot = engine.clone();
        runtime.spawn(async move {
            let started = Engine::start(options).await.expect("a simulated node starts");
            drop(slot.set(started));
        });
        self.paused = false;
        self.has_ended = Arc::default();
        self.run = Some(Run { runtime, engine, began: (now, began), drift_ppm });
    }

    /// Runs the node until its clock reads what it should read at `now`.
    pub fn drive(&mut self, now: Millis) {
        if let Some(run) = self.run.as_ref().filter(|_| !self.paused) {
            let until = run.local(now);
            run.runtime.block_on(async { tokio::time::sleep_until(until).await });
        }
    }

    /// Resumes the process; its clock has advanced meanwhile.
    pub fn resume(&mut self, now: Millis) {
        if let Some(run) = self.run.as_ref().filter(|_| self.paused) {
            let until = run.local(now);
            run.runtime.block_on(async {
                tokio::time::advance(until.saturating_duration_since(Instant::now())).await;
            });
        }
        self.paused = false;
    }

    /// Kills the process.
    pub fn end(&mut self) {
        self.paused = false;
        if let Some(Run { runtime, engine, .. }) = self.run.take() {
            drop(runtime);
            drop(engine);
        }
    }

    /// The engine of a process that has come up.
    pub fn engine(&self) -> Option<&Engine> {
        self.run.as_ref()?.engine.get()
    }

    /// Until this is dropped, time on this thread is that of its process, if it runs.
    pub fn enter(&self) -> Option<EnterGuard<'_>> {
        self.run.as_ref().map(|run| run.runtime.enter())
    }

    /// Where its process runs, and its engine as soon as there is one.
    pub fn endpoint(&self) -> Option<(Handle, Arc<OnceLock<Engine>>)> {
        self.run.as_ref().map(|run| (run.runtime.handle().clone(), run.engine.clone()))
    }
}

impl Run {
    /// What its clock says at this moment of true time, to the millisecond.
    fn local(&self, now: Millis) -> Instant {
        let age = i64::try_from(now - self.began.0).expect("a short run");
        let local = age + age * self.drift_ppm / 1_000_000;
        self.began.1 + Duration::from_millis(u64::try_from(local).expect("time goes on"))
    }
}

/// Time in it goes on only while it is driven, from timer to timer.
pub fn simulated_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn options(node: u64, initial: &[u64], transport: Option<Arc<dyn Transport>>, disk: &SimulatedDisk) -> EngineOptions {
    let defaults = service::options(None);
    EngineOptions {
        limits: Limits { freeze_ms_max: 60_000, freezes_max: 64, ..defaults.limits },
        storage: StorageOptions {
            snapshot_log_bytes: SNAPSHOT_LOG_BYTES,
            batch_commands_max: 64,
            batch_bytes_max: 32 << 10,
            queue_commands_max: 4096,
            ..defaults.storage
        },
        session_idle_timeout: Duration::from_secs(3600),
        cluster: ClusterOptions {
            node_id: node,
            advertise: ListenUrl::parse(&address(node)),
            peers: service::peers(initial),
            ..defaults.cluster
        },
        transport,
        store: Some(Arc::new(disk.clone())),
        ..defaults
    }
}
