//! Which parameters a query may have, as the document describes them.

use axum::http::Method;
use std::sync::LazyLock;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, ParameterIn};

/// One method of one path.
struct Described {
    path: String,
    method: &'static str,
    query: Vec<&'static str>,
}

/// The parameters that a query of this method may have at this path; `None` where neither is described.
pub fn query_parameters(path: &str, method: &Method) -> Option<&'static [&'static str]> {
    static ALL: LazyLock<Vec<Described>> = LazyLock::new(all);
    // Who asks for the head alone asks the same.
    let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
    let found = ALL.iter().find(|known| known.method == method && is_at(&known.path, path));
    found.map(|known| known.query.as_slice())
}

fn all() -> Vec<Described> {
    let mut all = Vec::new();
    for (path, item) in super::document().paths.paths {
        for (method, operation) in [("GET", item.get), ("POST", item.post), ("DELETE", item.delete)] {
            if let Some(operation) = operation {
                all.push(Described { path: path.clone(), method, query: names_in_query(operation) });
            }
        }
    }
    all
}

/// Kept for as long as the process lives.
fn names_in_query(operation: Operation) -> Vec<&'static str> {
    let parameters = operation.parameters.into_iter().flatten();
    let in_query = parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name),
        RefOr::T(_) | RefOr::Ref(_) => None,
    });
    in_query.map(|name| &*name.leak()).collect()
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

    #[test]
    fn a_path_has_the_parameters_that_are_described_there() {
        let of = |path: &str, method| query_parameters(path, &method);
        let locks = of("/v1/locks", Method::GET).expect("described");
        assert!(
            ["prefix", "limit", "cursor", "held", "contended"].iter().all(|name| locks.contains(name)),
            "{locks:?}"
        );
        assert_eq!(of("/v1/locks", Method::HEAD), Some(locks));
        assert_eq!(of("/v1/locks/a%2Fb", Method::GET), Some(&["consistency"][..]));
        assert_eq!(of("/v1/cluster", Method::GET), Some(&[][..]));
        assert_eq!(of("/v1/locks/a/b", Method::GET), None);
        assert_eq!(of("/v1/locks", Method::PUT), None);
    }
}
