//! One process from its configuration to the end of its shutdown, and what the service manager hears of it.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState::{self, Ready, Status, Stopping};

use super::bounded_credentials::BoundedCredentials;
use super::certificates::{self, InUse};
use super::keys_file::{self, WatchedKeys};
use super::probe_listener::ProbeListener;
use super::probes::{self, Exposition};
use super::serve::{Listening, StartError};
use super::signals::{Reload, drain_on_signals};
use super::{compose, in_force, oidc, router, system_limits, tls};
use crate::base::{Drain, DrainPhase, clock};
use crate::config::Config;
use crate::dialects::redis;
use crate::engine::{Engine, EngineOptions, SlowTimes};
use crate::http::{App, Catalog};

use crate::telemetry::{Metrics, logs};

/// Time for clients that ask often to learn that this node is leaving.
const RECONNECT_DELAY: Duration = Duration::from_millis(250);
/// Time for half-open connections to complete, and for their first request to arrive: a round trip or two.
const ACCEPT_DELAY: Duration = Duration::from_millis(100);

/// Serves until a signal ends it and its requests are finished.
pub async fn run(mut config: Config) -> Result<(), StartError> {
    let drain = Drain::default();
    drain_on_signals(drain.clone()).map_err(StartError::Runtime)?;
    let reload = Reload::default();
    reload.follow_hangups().map_err(StartError::Runtime)?;
    config.server.connections_max =
        system_limits::allow_connections(config.server.connections_max, config.server.worker_threads());
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let access = compose::access(&config)?;
    let audit = compose::audit(&config)?;
    let keys_read = keys_file::load(&config, &access)?;
    tracing::info!("{}", in_force::credentials(&config, &keys_read));
    BoundedCredentials::of(&config).warn(&access);
    let listening = Listening::open(&config, reload.requests())?;
    tls::key_files::warn(&config);
    let probing = ProbeListener::open(&config)?;
    let rates = compose::rates(&config);
    let options = compose::engine_options(&config, drain.clone());
    let engine = Engine::start(EngineOptions { pace: Some(compose::pace(&rates)), ..options }).await?;
    engine.log_slow_locks(SlowTimes { wait: config.log.slow_wait, hold: config.log.slow_hold });
    let declarations = router::declarations();
    let app = App::new(engine.clone(), access, audit, rates, Catalog::of(&declarations), &config);
    oidc::start(&app.access, &config.access);
    let redis = redis::Shared::new(&app, &config);
    let (routes, labels) = router::compose(&declarations, &app, &config);
    let metrics = Arc::new(Metrics::new(labels));
    let traces = compose::traces(&config, metrics.spans.clone())?;
    let in_use = InUse { served: listening.served_certificates(), engine: engine.clone() };
    certificates::watch(in_use, Arc::clone(&metrics), config.tls.reload_interval, reload.requests()).await;
    let keys = WatchedKeys::new(&config, Arc::clone(&app.access), Arc::clone(&metrics), keys_read);
    tokio::spawn(keys.watch(reload.requests()));
    let ready = engine.clone();
    let probes = probes::routes(drain.clone(), move || ready.unready_reason());
    let exposition = Exposition { app, metrics: Arc::clone(&metrics), address_usage: listening.address_usage() };
    let urls = listening.urls() + &probing.line();
    let probe_router = probes.clone().merge(exposition.clone().open_route());
    let _probing = probing
        .serve(probe_router, Arc::clone(&metrics), drain.clone(), clock::process_age)
        .map_err(StartError::Runtime)?;
    let router = routes.merge(probes).merge(exposition.route());
    tokio::spawn(shut_down(drain.clone(), engine.clone(), config.server.drain_delay));
    logs::announce(&urls);
    notify_ready(&urls);
    let listening = listening.with_redis(redis).with_traces(traces.clone());
    let served = listening.serve(router, metrics, drain, clock::process_age).await;
    engine.stop().await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    served.map_err(StartError::Runtime)
}

/// Waits for the signal, then shuts down in the order in which clients notice least of it:
///
/// 1. Readiness fails, and every answer asks its client to connect to another node.
/// 2. `delay` passes, in which load balancers notice the failed readiness.
/// 3. Leadership is transferred, so that no client waits for an election.
/// 4. If there are other nodes, clients have [`RECONNECT_DELAY`] longer to connect to them.
/// 5. The listeners close; connections that were just accepted have [`ACCEPT_DELAY`] for their first request.
/// 6. The engine accepts no new waits and answers those it has; idle connections are closed, the others when their requests
///    are finished.
async fn shut_down(drain: Drain, engine: Engine, delay: Duration) {
    drain.reached(DrainPhase::Announced).await;
    notify_stopping();
    tokio::time::sleep(delay).await;
    let others = engine.transfer_leadership().await;
    if others {
        tokio::time::sleep(RECONNECT_DELAY).await;
    }
    if others || !delay.is_zero() {
        drain.enter(DrainPhase::NotAccepting);
        tokio::time::sleep(ACCEPT_DELAY).await;
    }
    engine.close();
}

/// Tells the service manager, if there is one (systemd's `Type=notify`), that everything is bound and read back. With or
/// without a quorum, because nodes wait for each other.
fn notify_ready(urls: &str) {
    let status = format!("listening on {urls}");
    notify(move || sd_notify::notify(&[Ready, Status(&status)]));
}

/// Tells the service manager that the shutdown has begun; for a while everything is served still.
fn notify_stopping() {
    const STATES: [NotifyState<'static>; 2] = [Stopping, Status("finishing the requests in flight")];
    notify(|| sd_notify::notify(&STATES));
}

/// On a thread of its own: a manager that takes nothing must not stop us.
fn notify(send: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
    let failed = |error: std::io::Error| tracing::warn!(%error, "the service manager cannot be told");
    let notifying = std::thread::Builder::new().name("latchd-notify".to_owned());
    let started = notifying.spawn(move || send().unwrap_or_else(failed));
    started.map_or_else(failed, drop);
}
