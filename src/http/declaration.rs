//! What a dialect, or a part of our own API, declares about itself. Router, metric labels, reflection, status page and
//! OpenAPI document are made from these declarations, so a new dialect is a folder and a line in the list of them.

use super::app::AppState;
use super::catalog::{Catalog, GrpcService, HoldDialect};
use super::endpoint::Documentation;
use super::routes::Routes;
use crate::config::Config;

pub struct Declaration {
    /// The metric label of its requests; `other` shares that of pages and probes.
    pub label: &'static str,
    /// `None` where no locks are taken.
    pub dialect: Option<HoldDialect>,
    /// The gRPC services, for reflection and health; their methods are routes.
    pub services: &'static [GrpcService],
    /// The routes with their state, which has the settings of this dialect alone.
    pub routes: fn(&AppState, &Config) -> Routes,
    /// The endpoints as the OpenAPI document and the API page describe them; gRPC services have descriptors instead.
    pub documentation: Option<&'static Documentation>,
}

/// All declarations of a server, in the order in which they are shown.
pub type Declarations = [&'static Declaration];

impl Catalog {
    pub fn of(declarations: &Declarations) -> Catalog {
        Catalog {
            dialects: declarations.iter().filter_map(|declaration| declaration.dialect).collect(),
            services: declarations.iter().flat_map(|declaration| declaration.services).copied().collect(),
        }
    }
}
