//! How a server is to be started: storage, credentials, further arguments, configuration file.

use std::path::{Path, PathBuf};

use super::process::Server;

/// A description from which a server can be started again and again, always with the same directories.
#[derive(Clone, Default)]
pub struct Spec {
    data_directory: Option<PathBuf>,
    arguments: Vec<String>,
    configuration: Option<String>,
    environment: Vec<(String, String)>,
    open_files: Option<u32>,
}

impl Spec {
    /// A server that keeps nothing on disk.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A server that keeps its data in `directory`, which outlives it.
    pub fn durable(directory: &Path) -> Self {
        Self { data_directory: Some(directory.to_owned()), ..Self::default() }
    }

    /// Adds one command line argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds an API key (admin role).
    pub fn api_key(self, key: &str) -> Self {
        self.argument("--api-key").argument(key)
    }

    /// Adds a password (admin role).
    pub fn password(self, password: &str) -> Self {
        self.argument("--password").argument(password)
    }

    /// Adds a listener of the Redis protocol.
    pub fn redis(self) -> Self {
        self.argument("--listen").argument("redis://127.0.0.1:0")
    }

    /// Starts the server with this text as its configuration file.
    pub fn configuration(mut self, toml: impl Into<String>) -> Self {
        self.configuration = Some(toml.into());
        self
    }

    /// Starts the server with this variable in its environment.
    pub fn environment(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts the server where so many files may be open, and no more can be asked for.
    pub fn open_files(mut self, count: u32) -> Self {
        self.open_files = Some(count);
        self
    }

    /// Starts a server, over HTTPS and plain HTTP on free ports, and waits until it listens.
    pub fn start(&self) -> Server {
        self.try_start().unwrap_or_else(|output| panic!("{output}"))
    }

    /// The same, for a start that may fail; the error holds what the server wrote.
    pub fn try_start(&self) -> Result<Server, String> {
        Server::start(self.clone())
    }

    pub(super) fn variables(&self) -> &[(String, String)] {
        &self.environment
    }

    pub(super) fn open_files_limit(&self) -> Option<u32> {
        self.open_files
    }

    pub(super) fn configuration_text(&self) -> Option<&str> {
        self.configuration.as_deref()
    }

    /// The arguments after `latchd serve`, the configuration file aside.
    pub(super) fn serve_arguments(&self) -> Vec<String> {
        let pair = super::certificate::pair();
        let mut arguments = vec![
            "--listen".to_owned(),
            "https://127.0.0.1:0".to_owned(),
            "--listen".to_owned(),
            "http://127.0.0.1:0".to_owned(),
            "--tls-cert".to_owned(),
            pair.certificate.display().to_string(),
            "--tls-key".to_owned(),
            pair.key.display().to_string(),
        ];
        match &self.data_directory {
            Some(directory) => {
                arguments.push("--data-dir".to_owned());
                arguments.push(directory.display().to_string());
            }
            None => arguments.push("--in-memory".to_owned()),
        }
        arguments.extend(self.arguments.iter().cloned());
        arguments
    }
}
