//! The OpenAPI document and the pages about it, each made when it is first asked for.

use super::openapi;
use crate::config::Config;
use crate::http::declaration::Declarations;
use crate::http::endpoint::{Bounds, Documentation};
use crate::status;
use axum::body::Bytes;
use serde_json::Value;
use std::sync::OnceLock;

pub struct Documents {
    documentation: Vec<&'static Documentation>,
    bounds: Bounds,
    json: OnceLock<Bytes>,
    api_page: OnceLock<Bytes>,
    errors_page: OnceLock<Bytes>,
}

/// The OpenAPI document of these declarations and of the pages, with this configuration.
pub fn openapi_json(declarations: &Declarations, config: &Config) -> String {
    Documents::new(declarations, Bounds::of(config)).made_json()
}

impl Documents {
    pub fn new(declarations: &Declarations, bounds: Bounds) -> Documents {
        let declared = declarations.iter().filter_map(|declaration| declaration.documentation);
        Documents {
            documentation: declared.chain([&openapi::DOCUMENTATION]).collect(),
            bounds,
            json: OnceLock::new(),
            api_page: OnceLock::new(),
            errors_page: OnceLock::new(),
        }
    }

    /// All answers share one copy: a client that reads nothing would keep its own in memory.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| self.made_json().into()).clone()
    }

    pub fn api_page(&self) -> Bytes {
        self.api_page.get_or_init(|| status::docs_page(&self.parsed()).into()).clone()
    }

    pub fn errors_page(&self) -> Bytes {
        self.errors_page.get_or_init(|| status::errors_page(&self.parsed()).into()).clone()
    }

    fn made_json(&self) -> String {
        crate::api::openapi::json(&self.documentation, self.bounds)
    }

    fn parsed(&self) -> Value {
        serde_json::from_slice(&self.json()).expect("the document is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_shares_one_copy_of_a_document() {
        let documents = Documents::new(&[], Bounds::of(&Config::default()));
        for document in [Documents::json, Documents::api_page, Documents::errors_page] {
            assert_eq!(document(&documents).as_ptr(), document(&documents).as_ptr());
        }
    }
}
