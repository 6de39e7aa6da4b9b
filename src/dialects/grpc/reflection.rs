//! Server reflection, so that grpcurl and its like need no `.proto` files. Says what the API page says: nothing secret.

use super::proto::DESCRIPTORS;
use axum::Router;
use tonic_reflection::server::{Builder, Error};

/// The services of this server, as paths name them.
const SERVICES: [&str; 5] = ["ldlm.LDLM", "api.Api", "lockapi.Locking", "raftlock.RaftLock", "grpc.health.v1.Health"];

/// Whether this is the name of one of our services.
pub fn is_known(service: &str) -> bool {
    SERVICES.contains(&service)
}

/// Both versions of the reflection service: older tools know only the first.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let both = || -> Result<_, Error> { Ok((builder().build_v1()?, builder().build_v1alpha()?)) };
    let (v1, v1alpha) = both().expect("the compiled-in descriptors are sound");
    Router::new()
        .route_service("/grpc.reflection.v1.ServerReflection/{method}", v1)
        .route_service("/grpc.reflection.v1alpha.ServerReflection/{method}", v1alpha)
}

fn builder() -> Builder<'static> {
    let builder = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    SERVICES.iter().fold(builder, |builder, service| builder.with_service_name(*service))
}
