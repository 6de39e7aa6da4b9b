//! One process from its configuration to its end.

use std::sync::Arc;
use std::time::Duration;

use super::compose;
use super::drain::Drain;
use super::files;
use super::probes;
use super::router::router;
use super::serve::{Listening, StartError};
use super::state;
use crate::config::Config;
use crate::engine::{Engine, clock};
use crate::telemetry::{Metrics, logs};

/// For clients that ask often to hear that this node leaves.
const MOVE_ON_WITHIN: Duration = Duration::from_millis(250);

/// Serves until a signal ends it and its requests are finished.
pub async fn run(config: Config) -> Result<(), StartError> {
    let metrics = Arc::new(Metrics::default());
    let drain = Drain::default();
    drain.follow_signals().map_err(StartError::Runtime)?;
    files::allow_connections(config.server.connections_max);
    let access = compose::access(&config)?;
    let listening = Listening::open(&config)?;
    let engine = Engine::start(compose::engine_options(&config)).await?;
    let ready = engine.clone();
    let service = state::service(&config, engine.clone(), access);
    let probes = probes::routes(drain.clone(), move || ready.unready());
    let metrics_route = probes::metrics_route(service.clone(), Arc::clone(&metrics));
    let router = router(service).merge(probes).merge(metrics_route);
    end_waits_with(&drain, engine.clone());
    logs::announce(&listening.urls());
    let served = listening.serve(router, metrics, drain, clock::process_age).await;
    engine.stop().await;
    tracing::info!("stopped");
    served.map_err(StartError::Runtime)
}

/// The end has another node lead first, so that nobody waits for an election. Where there are others, clients that ask
/// meanwhile and a little longer are told to connect elsewhere, instead of finding their connection closed. Then those
/// who wait here are answered, and nobody may begin to.
fn end_waits_with(drain: &Drain, engine: Engine) {
    let drain = drain.clone();
    tokio::spawn(async move {
        drain.left().await;
        if engine.hand_over().await {
            tokio::time::sleep(MOVE_ON_WITHIN).await;
        }
        engine.drain();
        drain.begin();
    });
}
