//! Flags win over the environment, the environment over the file, the file over the defaults.

use std::path::PathBuf;
use std::time::Duration;

use latchd::access::Role;
use latchd::config::access::PlainCredentials;
use latchd::config::{Config, ConfigError, FlagValue, Inputs, Secret, SecretFile, Source};

/// Inputs with a configuration file of the given text; the directory lives as long as the test.
pub struct Given {
    directory: tempfile::TempDir,
    inputs: Inputs,
}

impl Given {
    pub fn file(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("latchd.toml");
        std::fs::write(&file, text).expect("a file");
        Self { directory, inputs: Inputs { file: Some(file), ..Inputs::default() } }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.inputs.flags.push(FlagValue { flag, key, value: value.to_owned() });
        self
    }

    pub fn load(self) -> Result<Config, ConfigError> {
        Config::load(self.inputs)
    }

    /// The message of the refusal, with the directory of the file cut off.
    pub fn refusal(self) -> String {
        let prefix = format!("{}/", self.directory.path().display());
        Config::load(self.inputs).expect_err("a refusal").to_string().replace(&prefix, "")
    }
}

#[test]
fn config_layer_overrides_the_layers_below() {
    let text = "[sessions]\nidle_timeout = \"1s\"\n";
    let idle = |given: Given| given.load().expect("valid").sessions.idle_timeout;
    assert_eq!(idle(Given::file("")), Duration::from_secs(600));
    assert_eq!(idle(Given::file(text)), Duration::from_secs(1));
    let with_env = || Given::file(text).env("LATCHD_SESSIONS_IDLE_TIMEOUT", "2s");
    assert_eq!(idle(with_env()), Duration::from_secs(2));
    let flag = with_env().flag("--session-timeout", "sessions.idle_timeout", "250ms");
    assert_eq!(idle(flag), Duration::from_millis(250));
}

#[test]
fn key_unset_in_higher_layer_keeps_lower_value() {
    let config = Given::file("data_dir = \"/srv/latchd\"\n[locks]\nsize_max = 7\n")
        .env("LATCHD_STORAGE_FSYNC", "false")
        .load()
        .expect("valid");
    assert_eq!(config.data_dir, PathBuf::from("/srv/latchd"));
    assert_eq!((config.locks.size_max, config.storage.fsync), (7, false));
    assert_eq!(config.locks.name_bytes_max, 512);
}

#[test]
fn environment_sets_lists_numbers_and_sizes() {
    let config = Given::file("")
        .env("LATCHD_LISTEN", "http://127.0.0.1:0, https://[::1]:0")
        .env("LATCHD_SERVER_CONNECTIONS_MAX", "12")
        .env("LATCHD_SERVER_BODY_BYTES_MAX", "1000")
        .env("LATCHD_STORAGE_MIN_FREE_BYTES", "1GiB")
        .env("LATCHD_ACCESS_ALLOW_ANONYMOUS", "true")
        .env("LATCHD_SERVER_TRUSTED_PROXIES", "10.0.0.0/8,::1")
        .env("UNRELATED", "ignored")
        .load()
        .expect("valid");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.listen[1].to_string(), "https://[::1]:0");
    assert_eq!((config.server.connections_max, config.server.body_bytes_max), (12, 1000));
    assert_eq!(config.storage.min_free_bytes, 1 << 30);
    assert_eq!(config.server.trusted_proxies[1].to_string(), "::1/128");
}

#[test]
fn api_keys_are_read_from_file_or_environment_list() {
    let sum = "ab".repeat(32);
    let keys = format!(r#"[{{ name = "ci", sha256 = "{sum}", role = "read-only", prefixes = ["build/"] }}]"#);
    let from_file = Given::file(&format!("[access]\nkeys = {keys}\n")).load().expect("valid");
    let from_env = Given::file("").env("LATCHD_ACCESS_KEYS", &keys).load().expect("valid");
    for config in [from_file, from_env] {
        let key = &config.access.keys[0];
        assert_eq!((key.name.as_str(), key.role, key.sha256), ("ci", Role::ReadOnly, [0xab; 32]));
        assert_eq!(key.prefixes, ["build/"]);
        assert!(config.has_credentials());
    }
}

#[test]
fn config_flag_overrides_config_variable() {
    let given = Given::file("[locks]\nsize_max = 7\n");
    let path = given.inputs.file.clone().expect("a file");
    let env = vec![("LATCHD_CONFIG".to_owned(), path.display().to_string())];
    let config = Config::load(Inputs { env, ..Inputs::default() }).expect("valid");
    assert_eq!(config.locks.size_max, 7);
    let config = given.env("LATCHD_CONFIG", "/nonexistent").load().expect("the flag wins");
    assert_eq!(config.locks.size_max, 7);
}

#[test]
fn kubernetes_service_variables_configure_nothing() {
    let given = Given::file("").env("LATCHD_PORT", "tcp://10.0.0.1:8443").env("LATCHD_SERVICE_HOST", "10.0.0.1");
    given.env("LATCHD_PORT_8443_TCP_ADDR", "10.0.0.1").load().expect("ignored");
}

#[test]
fn misspelt_variables_are_refused_but_those_of_kubernetes_ignored() {
    let mut given = Given::file("");
    for (name, value) in [
        ("LATCHD_METRICS_SERVICE_HOST", "10.0.0.1"),
        ("LATCHD_METRICS_SERVICE_PORT", "8443"),
        ("LATCHD_METRICS_SERVICE_PORT_HTTPS", "8443"),
        ("LATCHD_LB_PORT", "tcp://10.0.0.1:8443"),
        ("LATCHD_LB_PORT_8443_TCP", "tcp://10.0.0.1:8443"),
        ("LATCHD_LB_PORT_8443_TCP_ADDR", "10.0.0.1"),
        ("LATCHD_LB_PORT_8443_TCP_PORT", "8443"),
        ("LATCHD_STORAGE_PORT_53_UDP_PROTO", "udp"),
        ("LATCHD_PORT_WEST_PORT_1_SCTP", "sctp://10.0.0.1:1"),
        ("LATCHD_SERVICE_PORT_SERVICE_HOST", "10.0.0.1"),
    ] {
        given = given.env(name, value);
    }
    given.load().expect("ignored");
    for name in
        ["LATCHD_SERVER_PORT", "LATCHD_PORT", "LATCHD_LB_PORT_TCP", "LATCHD_PORT_8443_TCP_HOST", "LATCHD_SERVICE"]
    {
        let refusal = Given::file("").env(name, "8443").refusal();
        assert!(refusal.contains(&format!("unknown key {name}")), "{refusal}");
    }
}

#[test]
fn bad_credential_file_is_named_without_its_content() {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (key, password, bad) =
        (write("key", "sesame-1\n"), write("password", "sesame-2"), write("bad", "sesame\nsesame"));
    let mut given = Given::file("").env("LATCHD_API_KEY_FILE", &key).env("LATCHD_PASSWORD_FILE", &password);
    let source = Source::Flag("--api-key-file".to_owned());
    given.inputs.secret_files = vec![SecretFile { source, is_password: false, path: password.clone().into() }];
    let config = given.load().expect("valid");
    let exposed: Vec<&str> = config.plain.api_keys.iter().map(Secret::expose).collect();
    assert_eq!(exposed, ["sesame-2", "sesame-1"]);
    assert_eq!(config.plain.passwords[0].expose(), "sesame-2");
    assert!(config.has_credentials());
    let refusal = Given::file("").env("LATCHD_API_KEY_FILE", &bad).refusal();
    assert!(refusal.starts_with(&format!("environment LATCHD_API_KEY_FILE: {bad} cannot be used (")), "{refusal}");
    assert!(!refusal.contains("sesame"), "{refusal}");
    Given::file("").env("LATCHD_API_KEY_FILE", "").load().expect("an empty one is none");
    Given::file("").env("LATCHD_API_KEY_FILE", "/nonexistent").load().expect_err("refused");
}

#[test]
fn plain_credentials_from_flags_and_environment_stay_hidden() {
    let mut given = Given::file("").env("LATCHD_PASSWORD", "sesame-1").env("LATCHD_API_KEY", "sesame-2");
    given.inputs.plain = PlainCredentials { api_keys: vec![Secret::new("sesame-3")], ..PlainCredentials::default() };
    let config = given.load().expect("valid");
    assert_eq!((config.plain.passwords.len(), config.plain.api_keys.len()), (1, 2));
    assert_eq!(config.plain.api_keys[1].expose(), "sesame-3");
    assert!(!format!("{config:?}").contains("sesame"), "a secret in Debug output");
}

#[test]
fn listening_beyond_loopback_without_credential_needs_permission() {
    let open = || Given::file("listen = [\"http://127.0.0.1:1\", \"http://0.0.0.0:2\"]\n");
    open().load().expect_err("refused");
    open().env("LATCHD_PASSWORD", "p").load().expect("a password");
    open().env("LATCHD_API_KEY", "k").load().expect("a key");
    open().flag("--allow-anonymous", "access.allow_anonymous", "true").load().expect("permitted");
}
