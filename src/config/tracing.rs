//! `[tracing]`: which requests are traced, and which collector gets the traces. The variables that OpenTelemetry gives a
//! meaning stand in for keys that are not set.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::{ConfigError, Secret, secret_file};
use crate::base::config_value::positive;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracingConfig {
    /// Empty: nothing is traced.
    pub endpoint: String,
    #[serde(deserialize_with = "protocol")]
    protocol: Option<OtlpProtocol>,
    headers_file: PathBuf,
    ca_file: PathBuf,
    client_cert_file: PathBuf,
    client_key_file: PathBuf,
    #[serde(deserialize_with = "percent")]
    pub sample_percent: f64,
    #[serde(deserialize_with = "positive")]
    pub traces_per_second_max: u32,
    pub service_name: String,
}

/// How the collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    Http,
    Grpc,
}

const ENDPOINT: &str = "tracing.endpoint";
/// Where a collector takes traces over HTTP.
const PATH: &str = "/v1/traces";
const HTTPS: &str = "https://";
const SERVICE_NAME: &str = "latchd";

fn protocol<'de, D: Deserializer<'de>>(from: D) -> Result<Option<OtlpProtocol>, D::Error> {
    let expected = || de::Error::custom("expected http/protobuf, grpc, or nothing");
    match String::deserialize(from).map_err(|_| expected())?.as_str() {
        "" => Ok(None),
        "http/protobuf" => Ok(Some(OtlpProtocol::Http)),
        "grpc" => Ok(Some(OtlpProtocol::Grpc)),
        _ => Err(expected()),
    }
}

fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let expected = || de::Error::custom("expected a number from 0 to 100, in quotes");
    let percent = String::deserialize(from).ok().and_then(|text| text.parse::<f64>().ok());
    percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(expected)
}

impl TracingConfig {
    /// Fills in what OpenTelemetry's variables say.
    pub(super) fn with_environment(mut self, env: &[(String, String)]) -> Self {
        let variable = |name: &str| env.iter().find(|(known, value)| known == name && !value.is_empty());
        let of = |names: &[&str]| names.iter().find_map(|name| variable(name)).map(|(_, value)| value.as_str());
        if of(&["OTEL_SDK_DISABLED"]).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return self;
        }
        let protocol = match of(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
            Some("grpc") => OtlpProtocol::Grpc,
            _ => OtlpProtocol::Http,
        };
        let protocol = *self.protocol.get_or_insert(protocol);
        if self.endpoint.is_empty() {
            let base = of(&["OTEL_EXPORTER_OTLP_ENDPOINT"]).map(|base| match protocol {
                OtlpProtocol::Http => format!("{}{PATH}", base.trim_end_matches('/')),
                OtlpProtocol::Grpc => base.to_owned(),
            });
            let own = of(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]).map(str::to_owned);
            self.endpoint = own.or(base).unwrap_or_default();
        }
        if self.endpoint.starts_with(HTTPS) {
            let fill = |file: &mut PathBuf, names: &[&str]| {
                if file.as_os_str().is_empty() {
                    *file = of(names).unwrap_or_default().into();
                }
            };
            fill(&mut self.ca_file, &["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
            let certificate = ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"];
            fill(&mut self.client_cert_file, &certificate);
            fill(&mut self.client_key_file, &["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]);
        }
        if self.service_name.is_empty() {
            self.service_name = of(&["OTEL_SERVICE_NAME"]).unwrap_or(SERVICE_NAME).to_owned();
        }
        self
    }

    pub fn is_grpc(&self) -> bool {
        self.protocol == Some(OtlpProtocol::Grpc)
    }

    /// The whole URL of the collector.
    pub fn url(&self) -> String {
        let has_path =
            self.endpoint.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
        match self.is_grpc() || has_path {
            true => self.endpoint.clone(),
            false => format!("{}{PATH}", self.endpoint.trim_end_matches('/')),
        }
    }

    /// The authorities of the collector's certificate; `None`: those of the system.
    pub fn ca_file(&self) -> Option<PathBuf> {
        named(&self.ca_file)
    }

    /// The certificate that is shown to the collector, and its key.
    pub fn client_pair(&self) -> Option<(PathBuf, PathBuf)> {
        named(&self.client_cert_file).zip(named(&self.client_key_file))
    }

    /// The file of [`TracingConfig::headers`].
    pub fn headers_file(&self) -> Option<PathBuf> {
        named(&self.headers_file)
    }

    /// What every request to the collector carries: lines `name: value` of a file.
    pub fn headers(&self) -> Result<Vec<(String, String)>, ConfigError> {
        let Some(file) = self.headers_file() else { return Ok(Vec::new()) };
        let refused =
            |reason: String| ConfigError::Conflict(format!("tracing.headers_file: {} {reason}", file.display()));
        let lines = secret_file::read_lines(&file).map_err(|reason| refused(format!("cannot be used: {reason}")))?;
        lines
            .iter()
            .map(|line| header(line).ok_or_else(|| refused("has a line that is not `name: value`".to_owned())))
            .collect()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let conflict = |text: &str| Err(ConfigError::Conflict(format!("{ENDPOINT} {text}")));
        if self.endpoint.is_empty() {
            return Ok(());
        }
        let rest = ["http://", HTTPS].iter().find_map(|scheme| self.endpoint.strip_prefix(scheme));
        match rest {
            None | Some("") => conflict("is no URL such as http://127.0.0.1:4318"),
            // The URL is logged.
            Some(rest) if rest.contains('@') => conflict("has a user or a password in it: use tracing.headers_file"),
            Some(_) => self.check_files(),
        }
    }

    fn check_files(&self) -> Result<(), ConfigError> {
        let refused = |text: &str| Err(ConfigError::Conflict(text.to_owned()));
        let [ca, cert, key] = [&self.ca_file, &self.client_cert_file, &self.client_key_file].map(|file| named(file));
        if cert.is_some() != key.is_some() {
            return refused("tracing.client_cert_file and tracing.client_key_file go together: set both or none");
        }
        // Whoever names an authority expects TLS.
        if ca.or(cert).is_some() && !self.endpoint.starts_with(HTTPS) {
            return refused("tracing.ca_file and tracing.client_cert_file need an https:// tracing.endpoint");
        }
        Ok(())
    }
}

fn named(file: &Path) -> Option<PathBuf> {
    (!file.as_os_str().is_empty()).then(|| file.to_owned())
}

fn header(line: &Secret) -> Option<(String, String)> {
    let (name, value) = line.expose().split_once(':')?;
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = !name.is_empty() && name.bytes().all(is_sign) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then(|| (name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(keys: &str, env: &[(&str, &str)]) -> TracingConfig {
        let defaults: toml::Table = super::super::DEFAULTS.parse().expect("TOML");
        let mut section = defaults["tracing"].as_table().expect("a section").clone();
        section.extend(keys.parse::<toml::Table>().expect("TOML"));
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        section.try_into::<TracingConfig>().expect("valid").with_environment(&env)
    }

    #[test]
    fn variables_of_opentelemetry_stand_in_for_keys_that_are_not_set() {
        assert_eq!(with("", &[]).endpoint, "", "off");
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/");
        let config = with("", &[base, ("OTEL_SERVICE_NAME", "locks")]);
        assert_eq!((config.url().as_str(), config.service_name.as_str()), ("http://c:4318/otlp/v1/traces", "locks"));
        let config = with("", &[base, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
        assert_eq!((config.url().as_str(), config.is_grpc()), ("http://c:4318/otlp/", true));
        let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x");
        assert_eq!(with("", &[base, own]).url(), "http://t:1/x");
        assert_eq!(with("endpoint = 'http://mine:4318'", &[base, own]).url(), "http://mine:4318/v1/traces");
        assert_eq!(with("", &[base, ("OTEL_SDK_DISABLED", "true")]).endpoint, "");
    }

    #[test]
    fn endpoint_must_be_a_url_without_a_secret() {
        let refused = |endpoint: &str| {
            with(&format!("endpoint = '{endpoint}'"), &[]).check().err().map(|error| error.to_string())
        };
        assert_eq!(refused("https://c:4317"), None);
        assert!(refused("c:4317").is_some_and(|text| text.contains("tracing.endpoint is no URL")));
        assert!(
            refused("https://u:hunter2@c")
                .is_some_and(|text| text.contains("headers_file") && !text.contains("hunter2"))
        );
    }

    #[test]
    fn files_for_tls_come_in_pairs_and_need_https() {
        let refused = |keys: &str| with(keys, &[]).check().err().map(|error| error.to_string());
        let https = "endpoint = 'https://c:4317'\n";
        assert_eq!(refused(&format!("{https}ca_file = 'ca.pem'")), None);
        assert!(refused("endpoint = 'http://c:4317'\nca_file = 'ca.pem'").is_some_and(|text| text.contains("https")));
        assert!(refused(&format!("{https}client_cert_file = 'c'")).is_some_and(|text| text.contains("go together")));
        let env = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "c"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "k"),
        ];
        let config = with(https, &env);
        assert_eq!((config.ca_file(), config.client_pair()), (Some("ca".into()), Some(("c".into(), "k".into()))));
        assert_eq!(with("endpoint = 'http://c:4318'", &env).ca_file(), None, "nothing to check there");
    }

    #[test]
    fn headers_are_lines_of_a_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("headers");
        let headers = |text: &str| {
            std::fs::write(&path, text).expect("written");
            with(&format!("headers_file = '{}'", path.display()), &[]).headers().map_err(|error| error.to_string())
        };
        let expected = vec![("x-key".to_owned(), "a: b".to_owned()), ("y".to_owned(), String::new())];
        assert_eq!(headers("X-Key: a: b\n\ny:\n"), Ok(expected));
        let folder_itself = with(&format!("headers_file = '{}'", folder.path().display()), &[]).headers();
        assert!(folder_itself.expect_err("refused").to_string().contains("it is not a regular file"));
        let refused = headers("hunter2\n").expect_err("refused");
        assert!(refused.contains("`name: value`") && !refused.contains("hunter2"), "{refused}");
    }
}
