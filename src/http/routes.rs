//! The routes of one declaration, and the label under which each path is counted.

use axum::routing::MethodRouter;

/// Routes that still need a state of type `S`; without one they are complete.
pub struct Routes<S = ()> {
    pub(crate) paths: Vec<Path<S>>,
    pub(crate) fallback: Option<Fallback<S>>,
}

pub(crate) struct Path<S> {
    pub path: &'static str,
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
        Routes { paths: Vec::new(), fallback: None }
    }

    /// Adds a path in axum's notation.
    pub fn route(mut self, path: &'static str, methods: MethodRouter<S>) -> Routes<S> {
        self.paths.push(Path { path, methods, is_counted: true });
        self
    }

    /// Adds a path whose requests are counted as `other`.
    pub fn uncounted(mut self, path: &'static str, methods: MethodRouter<S>) -> Routes<S> {
        self.paths.push(Path { path, methods, is_counted: false });
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

    pub fn merge(mut self, other: Routes<S>) -> Routes<S> {
        self.paths.extend(other.paths);
        Routes { fallback: self.fallback.or(other.fallback), ..self }
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
        Routes { paths, fallback }
    }
}
