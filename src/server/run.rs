//! One process from its configuration to its end.

use std::sync::Arc;

use super::certificates::{self, InUse};
use super::compose;
use super::drain::Drain;
use super::files;
use super::leave;
use super::probe_listener::ProbeListener;
use super::probes;
use super::reload::Reload;
use super::router;
use super::serve::{Listening, StartError};
use super::supervisor;
use super::tls;
use crate::base::clock;
use crate::config::Config;
use crate::engine::Engine;
use crate::http::App;
use crate::http::catalog::Catalog;
use crate::telemetry::{Metrics, logs};

/// Serves until a signal ends it and its requests are finished.
pub async fn run(mut config: Config) -> Result<(), StartError> {
    let drain = Drain::default();
    drain.follow_signals().map_err(StartError::Runtime)?;
    let reload = Reload::default();
    reload.follow_hangups().map_err(StartError::Runtime)?;
    config.server.connections_max =
        files::allow_connections(config.server.connections_max, config.server.worker_threads());
    config.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
    let access = compose::access(&config)?;
    let listening = Listening::open(&config)?.follow(reload.clone());
    tls::key_files::warn(&config);
    let probing = ProbeListener::open(&config)?;
    let engine = Engine::start(compose::engine_options(&config)).await?;
    let declarations = router::declarations();
    let app = App::new(engine.clone(), access, Catalog::of(&declarations), &config);
    let (routes, labels) = router::compose(&declarations, &app, &config);
    let metrics = Arc::new(Metrics::new(labels));
    let in_use = InUse { served: listening.served_certificates(), engine: engine.clone() };
    certificates::watch(in_use, Arc::clone(&metrics), config.tls.reload_interval, reload.requests()).await;
    let ready = engine.clone();
    let shares = listening.shares();
    let probes = probes::routes(drain.clone(), move || ready.unready_reason());
    let metrics_route = probes::metrics_route(app.clone(), Arc::clone(&metrics), Arc::clone(&shares));
    let urls = listening.urls() + &probing.line();
    let open_metrics = probes::open_metrics_route(app.clone(), Arc::clone(&metrics), shares);
    let probe_router = probes.clone().merge(open_metrics);
    let _probing = probing
        .serve(probe_router, Arc::clone(&metrics), drain.clone(), clock::process_age)
        .map_err(StartError::Runtime)?;
    let router = routes.merge(probes).merge(metrics_route);
    tokio::spawn(leave::follow(drain.clone(), engine.clone(), config.server.drain_delay));
    logs::announce(&urls);
    supervisor::ready(&urls);
    let served = listening.serve(router, metrics, drain, clock::process_age).await;
    engine.stop().await;
    served.map_err(StartError::Runtime)
}
