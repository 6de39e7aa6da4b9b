//! The files of the issuers of identity tokens: each start and each fetch of keys reads them.

use std::path::Path;

use super::certificates::unreadable;
use super::finding::Finding;
use crate::config::Config;
use crate::server::inspection;

pub fn check(config: &Config) -> Vec<Finding> {
    let files = |(key, path): (&'static str, Option<&Path>)| path.and_then(|path| of_file(key, path));
    let of_issuer = |issuer: &crate::access::oidc::IssuerSettings| {
        let files = [("ca_file", issuer.ca_file.as_deref()), ("token_file", issuer.token_file.as_deref())].map(files);
        files.into_iter().flatten().collect::<Vec<_>>()
    };
    config.access.oidc.iter().flat_map(of_issuer).collect()
}

fn of_file(key: &str, path: &Path) -> Option<Finding> {
    let error = inspection::read_named_file(path, inspection::PEM_BYTES_MAX).err()?;
    Some(unreadable(&format!("access.oidc {key}"), path, &error))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn missing_files_of_an_issuer_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let there = folder.path().join("there");
        std::fs::write(&there, "text").expect("written");
        let check = |ca_file: &Path| {
            let mut config = Config::load(crate::config::Inputs::default()).expect("the defaults");
            let settings = serde_json::json!({
                "issuer": "https://issuer.example", "audience": "latchd", "ca_file": ca_file, "token_file": "/missing",
                "rules": [{"claims": {"sub": "x"}, "role": "client"}],
            });
            config.access.oidc = vec![serde_json::from_value(settings).expect("an issuer")];
            check(&config).into_iter().map(|found| (found.level, found.check)).collect::<Vec<_>>()
        };
        let token = (Level::Error, "access.oidc token_file".to_owned());
        assert_eq!(check(&there), std::slice::from_ref(&token));
        assert_eq!(check(folder.path()), [(Level::Error, "access.oidc ca_file".to_owned()), token]);
    }
}
