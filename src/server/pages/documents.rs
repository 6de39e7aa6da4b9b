//! The OpenAPI document and the pages about it, each made when it is first asked for.

use super::openapi;
use crate::config::Config;
use crate::http::declaration::Declarations;
use crate::http::endpoint::{Bounds, Documentation};
use crate::status;
use serde_json::Value;
use std::sync::OnceLock;

pub struct Documents {
    documentation: Vec<&'static Documentation>,
    bounds: Bounds,
    json: OnceLock<String>,
    api_page: OnceLock<String>,
    errors_page: OnceLock<String>,
}

/// The OpenAPI document of these declarations and of the pages, with this configuration.
pub fn openapi_json(declarations: &Declarations, config: &Config) -> String {
    Documents::new(declarations, Bounds::of(config)).json().to_owned()
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

    pub fn json(&self) -> &str {
        self.json.get_or_init(|| crate::api::openapi::json(&self.documentation, self.bounds))
    }

    pub fn api_page(&self) -> &str {
        self.api_page.get_or_init(|| status::docs_page(&self.parsed()))
    }

    pub fn errors_page(&self) -> &str {
        self.errors_page.get_or_init(|| status::errors_page(&self.parsed()))
    }

    fn parsed(&self) -> Value {
        serde_json::from_str(self.json()).expect("the document is JSON")
    }
}
