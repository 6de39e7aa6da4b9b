//! The OpenAPI document and the pages about it, each made when it is first asked for.

use crate::http::endpoint::Documentation;
use crate::status;
use axum::body::Bytes;
use serde_json::Value;
use std::sync::OnceLock;

pub struct Documents {
    documentation: Vec<&'static Documentation>,
    services: Vec<status::Service>,
    name_bytes_max: usize,
    json: OnceLock<Bytes>,
    api_page: OnceLock<Bytes>,
    errors_page: OnceLock<Bytes>,
}

impl Documents {
    pub fn new(
        documentation: Vec<&'static Documentation>,
        services: Vec<status::Service>,
        name_bytes_max: usize,
    ) -> Documents {
        let (json, api_page, errors_page) = Default::default();
        Documents { documentation, services, name_bytes_max, json, api_page, errors_page }
    }

    /// All answers share one copy: a client that reads nothing would keep its own in memory.
    pub fn json(&self) -> Bytes {
        self.json.get_or_init(|| self.made_json().into()).clone()
    }

    pub fn api_page(&self) -> Bytes {
        self.api_page.get_or_init(|| status::docs_page(&self.parsed(), &self.services).into()).clone()
    }

    pub fn errors_page(&self) -> Bytes {
        self.errors_page.get_or_init(|| status::errors_page(&self.parsed()).into()).clone()
    }

    pub fn made_json(&self) -> String {
        crate::api::openapi::json(&self.documentation, self.name_bytes_max)
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
        let documents = Documents::new(Vec::new(), Vec::new(), 512);
        for document in [Documents::json, Documents::api_page, Documents::errors_page] {
            assert_eq!(document(&documents).as_ptr(), document(&documents).as_ptr());
        }
    }
}
