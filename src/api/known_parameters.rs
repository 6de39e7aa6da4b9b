//! Refuses query parameters that the description of an endpoint does not name, and those that are given twice.

use crate::http::endpoint::Endpoint;
use crate::http::problem::problem;
use crate::http::unknown_fields::{UnknownFields, check_query};
use crate::http::{AppState, Code, Failure, Query, Routes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use std::sync::Arc;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{HttpMethod, ParameterIn};

/// The query parameters of some endpoints: path, method, names.
struct Known {
    unknown_fields: UnknownFields,
    endpoints: Vec<(String, Method, Vec<String>)>,
}

/// Puts the check around all of these routes.
pub fn check_parameters<S>(routes: Routes<S>, app: &AppState) -> Routes<S>
where
    S: Clone + Send + Sync + 'static,
{
    let endpoints = routes.endpoints.iter().map(known_at).collect();
    let known = Arc::new(Known { unknown_fields: app.settings.unknown_fields, endpoints });
    routes.map(|route| route.layer(from_fn_with_state(Arc::clone(&known), check)))
}

async fn check(State(known): State<Arc<Known>>, request: Request, next: Next) -> Result<Response, Response> {
    let uri = request.uri();
    if let Some(names) = uri.query().and_then(|_| known.names(uri.path(), request.method())) {
        let query = Query::of(uri);
        check_query(query, &names, known.unknown_fields)
            .and_then(|()| check_once(query, &names))
            .map_err(|failure| problem(&failure))?;
    }
    Ok(next.run(request).await)
}

/// One of two would be ignored, such as the second lock that somebody wants to release.
fn check_once(query: Query<'_>, known: &[&str]) -> Result<(), Failure> {
    match known.iter().find(|name| query.names().filter(|given| given == *name).nth(1).is_some()) {
        Some(name) => Err(Failure::new(Code::InvalidField, format!("the query parameter {name:?} must be given once"))),
        None => Ok(()),
    }
}

impl Known {
    /// The parameters that a query of this method may have at this path; `None` if neither is described.
    fn names(&self, path: &str, method: &Method) -> Option<Vec<&str>> {
        // HEAD takes the parameters of GET.
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut endpoints = self.endpoints.iter();
        let (_, _, names) = endpoints.find(|(described, known, _)| known == method && is_at(described, path))?;
        Some(names.iter().map(String::as_str).collect())
    }
}

fn known_at(endpoint: &Endpoint) -> (String, Method, Vec<String>) {
    let method = match endpoint.method {
        HttpMethod::Post => Method::POST,
        HttpMethod::Put => Method::PUT,
        HttpMethod::Delete => Method::DELETE,
        _ => Method::GET,
    };
    let parameters = endpoint.operation.parameters.iter().flatten();
    let in_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    (endpoint.path.clone(), method, in_query.collect())
}

/// Whether a path fits a described one, in which `{name}` stands for any one segment.
fn is_at(described: &str, path: &str) -> bool {
    let (mut described, mut path) = (described.split('/'), path.split('/'));
    loop {
        match (described.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{cluster, inspect};

    #[test]
    fn path_has_the_parameters_described_for_it() {
        let endpoints = [&inspect::DECLARATION, &cluster::DECLARATION]
            .map(|declaration| (declaration.documentation.expect("described").endpoints)());
        let endpoints = endpoints.iter().flatten().map(known_at).collect();
        let known = Known { unknown_fields: UnknownFields::Refuse, endpoints };
        let of = |path: &str, method| known.names(path, &method);
        let locks = of("/v1/locks", Method::GET).expect("described");
        assert!(
            ["prefix", "limit", "cursor", "held", "contended"].iter().all(|name| locks.contains(name)),
            "{locks:?}"
        );
        assert_eq!(of("/v1/locks", Method::HEAD), Some(locks));
        assert_eq!(of("/v1/locks/a%2Fb", Method::GET), Some(vec!["consistency"]));
        assert_eq!(of("/v1/cluster", Method::GET), Some(vec![]));
        assert_eq!(of("/v1/locks/a/b", Method::GET), None);
        assert_eq!(of("/v1/locks", Method::PUT), None);
    }
}
