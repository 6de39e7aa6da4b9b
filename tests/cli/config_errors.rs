//! Every refusal names source, key, value and what is accepted.

use super::config_layers::Given;

#[test]
fn unknown_key_is_refused_with_nearest_known_key() {
    assert_eq!(
        Given::file("[storage]\nfsnyc = true\n").refusal(),
        "file latchd.toml: unknown key storage.fsnyc; the nearest known key is storage.fsync"
    );
    assert_eq!(
        Given::file("datadir = \"x\"\n").refusal(),
        "file latchd.toml: unknown key datadir; the nearest known key is data_dir"
    );
    assert_eq!(
        Given::file("").env("LATCHD_STORAGE_FSNYC", "1").refusal(),
        "environment LATCHD_STORAGE_FSNYC: unknown key LATCHD_STORAGE_FSNYC; \
         the nearest known key is LATCHD_STORAGE_FSYNC"
    );
    assert_eq!(
        Given::file("").env("LATCHD_PASSWROD", "hunter2").refusal(),
        "environment LATCHD_PASSWROD: unknown key LATCHD_PASSWROD; the nearest known key is LATCHD_PASSWORD"
    );
    assert_eq!(
        Given::file("[sotrage]\nfsync = true\n").refusal(),
        "file latchd.toml: unknown key [sotrage]; the nearest known key is [storage]"
    );
    assert_eq!(
        Given::file("fsync = true\n").refusal(),
        "file latchd.toml: unknown key fsync; the nearest known key is storage.fsync"
    );
}

#[test]
fn bad_issuer_is_refused_with_its_place() {
    let refusal = |issuer: &str, rule: &str| {
        let table = format!("[[access.oidc]]\nissuer = \"{issuer}\"\naudience = \"x\"\n");
        Given::file(&format!("{table}[[access.oidc.rules]]\nrole = \"client\"\n{rule}\n")).refusal()
    };
    assert_eq!(
        refusal("http://issuer.example", "claims = { sub = \"x\" }"),
        "file latchd.toml: the value of access.oidc[0].issuer is not accepted: expected an https URL without user, query and \
         fragment (http only for this machine itself)"
    );
    let everybody = refusal("https://issuer.example", "claims = {}");
    let told = "the value of access.oidc[0].rules[0] is not accepted: expected at least one claim";
    assert!(everybody.contains(told), "{everybody}");
    let twice = "[[access.oidc]]\nissuer = \"https://a\"\naudience = \"x\"\n[[access.oidc.rules]]\nrole = \"client\"\nclaims = { sub = \"x\" }\n";
    let twins = Given::file(&twice.repeat(2)).refusal();
    assert!(twins.contains("expected at most 32 issuers, each of them once"), "{twins}");
}

#[test]
fn bad_value_is_refused_with_accepted_values() {
    let rows = [
        (
            Given::file("[storage]\nfsync = \"maybe\"\n"),
            "file latchd.toml: storage.fsync = \"maybe\" is not accepted: expected a boolean",
        ),
        (
            Given::file("").env("LATCHD_STORAGE_FSYNC", "maybe"),
            "environment LATCHD_STORAGE_FSYNC: storage.fsync = \"maybe\" is not accepted: expected true or false",
        ),
        (
            Given::file("").flag("--session-timeout", "sessions.idle_timeout", "10 parsecs"),
            "flag --session-timeout: sessions.idle_timeout = \"10 parsecs\" is not accepted: \
             expected a duration like 250ms, 30s, 10m or 24h",
        ),
        (
            Given::file("[sessions]\nidle_timeout = 10\n"),
            "file latchd.toml: sessions.idle_timeout = 10 is not accepted: \
             expected a duration like 250ms, 30s, 10m or 24h, in quotes",
        ),
        (
            Given::file("[sessions]\nidle_timeout = \"0s\"\n"),
            "file latchd.toml: sessions.idle_timeout = \"0s\" is not accepted: \
             expected a duration like 250ms, 30s, 10m or 24h, above zero",
        ),
        (
            Given::file("[server]\nbody_bytes_max = \"64KB\"\n"),
            "file latchd.toml: server.body_bytes_max = \"64KB\" is not accepted: \
             expected a size like 64KiB, 8MiB, 1GiB or a number of bytes",
        ),
        (
            Given::file("[locks]\nsize_max = -1\n"),
            "file latchd.toml: locks.size_max = -1 is not accepted: expected a whole number of at least 1",
        ),
        (
            Given::file("").env("LATCHD_LISTEN", "https://127.0.0.1:1,ftp://h"),
            "environment LATCHD_LISTEN: listen[1] = \"ftp://h\" is not accepted: \
             expected a URL like https://127.0.0.1:8443, http://[::1]:8080, https://localhost:0, \
             redis://127.0.0.1:6379 or https://0.0.0.0:8443?proxy_protocol",
        ),
        (
            Given::file("").flag("--log-level", "log.level", "loud"),
            "flag --log-level: log.level = \"loud\" is not accepted: \
             expected one of `error`, `warn`, `info`, `debug`, `trace`",
        ),
    ];
    for (given, message) in rows {
        assert_eq!(given.refusal(), message);
    }
}

#[test]
fn bad_secret_is_never_printed() {
    assert_eq!(
        Given::file("[access]\npasswords = [\"hunter2\"]\n").refusal(),
        "file latchd.toml: the value of access.passwords is not accepted: \
         expected argon2id PHC strings ($argon2id$v=19$...); `latchd hash password` makes them"
    );
    assert_eq!(
        Given::file("[access]\nkeys = [{ name = \"ci\", sha256 = \"hunter2\", role = \"admin\" }]\n").refusal(),
        "file latchd.toml: the value of access.keys[0].sha256 is not accepted: \
         expected 64 hex digits; `latchd hash key` makes them"
    );
    assert_eq!(
        Given::file("[access]\nkeys = [{ name = \"ci\", role = \"admin\" }]\n").refusal(),
        "file latchd.toml: the value of access.keys[0] is not accepted: missing field `sha256`"
    );
}

#[test]
fn conflicting_config_keys_are_refused_with_a_fix() {
    assert_eq!(
        Given::file("[tls]\ncert = \"c.pem\"\n").refusal(),
        "tls.cert and tls.key go together: set both (--tls-cert and --tls-key) or neither"
    );
    for (section, key) in [("locks", "lock_unlock_ttl"), ("terraform", "max_hold")] {
        assert_eq!(
            Given::file(&format!("[{section}]\n{key} = \"721h\"\n")).refusal(),
            format!("{section}.{key} is longer than locks.lease_max: shorten it or raise lease_max")
        );
    }
    assert_eq!(
        Given::file("listen = []\n").refusal(),
        "listen is empty: name at least one URL, e.g. --listen https://127.0.0.1:8443"
    );
    assert_eq!(
        Given::file("listen = [\"https://127.0.0.1:8443?proxy_protocol\"]\n").refusal(),
        "listen = https://127.0.0.1:8443?proxy_protocol asks for the PROXY protocol, but nobody may speak it: name the load \
         balancers in server.trusted_proxies"
    );
    assert_eq!(
        Given::file("listen = [\"https://0.0.0.0:8443\"]\n").refusal(),
        "listen = https://0.0.0.0:8443 is reachable from other machines, but no credential is configured: \
         set --password or --api-key (or access.passwords, access.keys, access.keys_file in the file), listen on \
         127.0.0.1 only, or allow anybody with --allow-anonymous"
    );
}

#[test]
fn unusable_file_is_named_in_the_error() {
    assert_eq!(
        Given::file("listen = [\n\n[tls\n").refusal().split(": ").take(2).collect::<Vec<_>>(),
        ["file latchd.toml, line 3", "not TOML"]
    );
    let inputs = latchd::config::Inputs { file: Some("/nonexistent/latchd.toml".into()), ..Default::default() };
    assert_eq!(
        latchd::config::Config::load(inputs).expect_err("missing").to_string(),
        "file /nonexistent/latchd.toml: cannot be read (No such file or directory (os error 2)); \
         check --config or LATCHD_CONFIG"
    );
}
