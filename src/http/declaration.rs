//! What a dialect, or a part of our own API, declares about itself. Router, metric labels, reflection, console and
//! OpenAPI document are made from these declarations, so a new dialect is a folder and a line in the list of them.

use super::app::AppState;
use super::catalog::{Catalog, GrpcService, HoldDialect};
use super::code::Code;
use super::endpoint::{Documentation, Endpoint};
use super::failure::Failure;
use super::problem::problem;
use crate::config::Config;
use axum::handler::Handler;
use axum::http::Method;
use axum::response::Response;
use axum::routing::{self, MethodRouter};
use std::borrow::Cow;
use utoipa::__dev::SchemaReferences;

/// A value instead of a trait `Dialect`, so that it can be listed and read without generics.
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

/// Routes that still need a state of type `S`; without one they are complete.
pub struct Routes<S = ()> {
    pub(crate) paths: Vec<Path<S>>,
    /// What the OpenAPI document describes of them.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) fallback: Option<Fallback<S>>,
}

pub(crate) struct Path<S> {
    pub path: Cow<'static, str>,
    pub methods: MethodRouter<S>,
    /// Whether requests for it are counted under the label of the declaration.
    pub is_counted: bool,
}

/// A handler of paths that no route describes.
pub(crate) struct Fallback<S> {
    pub claims: fn(&str) -> bool,
    pub methods: MethodRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    #[expect(clippy::new_without_default, reason = "routes begin with their first path")]
    pub fn new() -> Routes<S> {
        Routes { paths: Vec::new(), endpoints: Vec::new(), fallback: None }
    }

    /// Adds the path of the description `P`, which `#[utoipa::path]` makes beside a handler.
    pub fn described<P: utoipa::Path + SchemaReferences>(self, methods: MethodRouter<S>) -> Routes<S> {
        self.add(P::path().into(), methods, true).also::<P>()
    }

    /// Describes one more method of a path that has been added.
    pub fn also<P: utoipa::Path + SchemaReferences>(mut self) -> Routes<S> {
        self.endpoints.push(Endpoint::of::<P>());
        self
    }

    /// The descriptions, for the document of a declaration.
    pub fn into_endpoints(self) -> Vec<Endpoint> {
        self.endpoints
    }

    /// Adds a path in axum's notation without a description.
    pub fn route(self, path: &'static str, methods: MethodRouter<S>) -> Routes<S> {
        self.add(path.into(), methods, true)
    }

    /// Adds a path whose requests are counted as `other`.
    pub fn uncounted(self, path: &'static str, methods: MethodRouter<S>) -> Routes<S> {
        self.add(path.into(), methods, false)
    }

    fn add(mut self, path: Cow<'static, str>, methods: MethodRouter<S>, is_counted: bool) -> Routes<S> {
        self.paths.push(Path { path, methods, is_counted });
        self
    }

    /// Takes the requests of paths that no route describes and that `claims` accepts.
    pub fn fallback(self, claims: fn(&str) -> bool, methods: MethodRouter<S>) -> Routes<S> {
        Routes { fallback: Some(Fallback { claims, methods }), ..self }
    }

    /// Wraps every path, for a layer around all of them.
    pub fn map(mut self, change: impl Fn(MethodRouter<S>) -> MethodRouter<S>) -> Routes<S> {
        self.paths = self.paths.into_iter().map(|path| Path { methods: change(path.methods), ..path }).collect();
        self
    }

    pub fn with_state(self, state: S) -> Routes {
        let paths = self.paths.into_iter().map(|Path { path, methods, is_counted }| Path {
            path,
            methods: methods.with_state(state.clone()),
            is_counted,
        });
        let paths = paths.collect();
        let fallback =
            self.fallback.map(|Fallback { claims, methods }| Fallback { claims, methods: methods.with_state(state) });
        Routes { paths, endpoints: self.endpoints, fallback }
    }
}

/// A path of ours with one method: any other is answered with a problem document.
macro_rules! one_method {
    ($($method:ident)*) => {$(
        pub fn $method<H: Handler<T, S>, T: 'static, S: Clone + Send + Sync + 'static>(handler: H) -> MethodRouter<S> {
            routing::$method(handler).fallback(method_not_allowed)
        }
    )*};
}
one_method!(get post put delete);

/// The answer to a method that a path of ours does not have; the router adds which it has.
pub async fn method_not_allowed(method: Method) -> Response {
    problem(&Failure::new(Code::MethodNotAllowed, format!("{method} is not allowed here")))
}
