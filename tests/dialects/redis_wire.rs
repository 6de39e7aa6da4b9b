//! Bytes on the listener of the Redis protocol: bounds, what is no command, slow and unread connections, credentials.

use crate::dialects::dialect_client::until;
use crate::support::client::Client;
use crate::support::in_time::some_attempt_within;
use crate::support::redis::{RedisClient, Reply, encoded};
use crate::support::spec::Spec;
use std::io::Write as _;
use std::time::{Duration, Instant};

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const SMALL: &str = "[redis]\ncommand_bytes_max = \"1KiB\"\nunidentified_command_bytes_max = \"1KiB\"\narguments_max = 8\n\
                     value_bytes_max = 16\nscripts_max = 1\nconnection_holds_max = 1\n[locks]\nnames_max = 2\n\
                     lease_max = \"1h\"\n";

fn error(text: &str) -> Reply {
    Reply::Error(text.to_owned())
}

#[test]
fn other_bytes_end_the_connection_with_an_error() {
    let server = Spec::in_memory().redis().configuration(SMALL).start();
    let inline = "ERR Protocol error: a command must be an array of bulk strings";
    for (bytes, why) in [
        (&b"PING\r\n"[..], inline),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 30\r\n\r\n*1\r\n$4\r\nPING\r\n", inline),
        (b"|1\r\n+key\r\n+value\r\n*1\r\n$4\r\nPING\r\n", inline),
        (b"\x16\x03\x01\x02\x00\x01", inline),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "ERR Protocol error: an argument must be a bulk string"),
        (b"*1\r\n$-1\r\n", "ERR Protocol error: a length is not a number"),
        (b"*1\r\n$4\r\nPINGX\r\n", "ERR Protocol error: a bulk string must end with CR LF"),
        (b"*0\r\n", "ERR Protocol error: a command must have a name"),
        (b"*1000000000\r\n", "ERR Protocol error: a command must have at most 8 arguments (redis.arguments_max)"),
        (
            b"*1\r\n$1000000000\r\n",
            "ERR Protocol error: a command must be at most 1024 bytes long (redis.command_bytes_max)",
        ),
    ] {
        let mut client = RedisClient::new(&server);
        // What came before is answered.
        client.send(PING);
        client.send(bytes);
        assert_eq!(client.read().expect("an answer"), Reply::Status("PONG".to_owned()));
        let Ok(Reply::Error(text)) = client.read() else { panic!("no error for {bytes:?}") };
        assert!(text.starts_with(why), "{text}");
        assert!(client.is_closed(), "{why}");
    }
}

#[test]
fn refusals_by_a_limit_name_its_key() {
    let server = Spec::in_memory().redis().configuration(SMALL).start();
    let mut client = RedisClient::new(&server);
    let script = |end: &str| {
        format!("if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end{end}")
    };
    let long = "v".repeat(17);
    for (command, key) in [
        (&["SET", "a", &long, "NX"][..], "redis.value_bytes_max"),
        (&["SET", "a", "v", "NX", "EX", "3601"], "locks.lease_max"),
        (&["SET", &"n".repeat(513), "v", "NX"], "locks.name_bytes_max"),
        (&["EVAL", &script(""), "3", "a", "b", "c", "v"], "locks.names_max"),
    ] {
        let text = client.refused(command);
        assert!(text.contains(&format!("({key})")), "{text}");
    }
    let digest = |end: &str, client: &mut RedisClient| match client.ask(&["SCRIPT", "LOAD", &script(end)]) {
        Reply::Bulk(digest) => digest,
        other => panic!("{other:?}"),
    };
    let (first, second) = (digest(" ", &mut client), digest("  ", &mut client));
    let known = client.ask(&["SCRIPT", "EXISTS", &first, &second]);
    assert_eq!(known, Reply::Array(vec![Reply::Integer(0), Reply::Integer(1)]), "the newer one is kept");
    let asked = client.refused(&["EVALSHA", &first, "1", "a", "v"]);
    assert!(asked.starts_with("NOSCRIPT "), "{asked}");
    // Without a time to live, the longest lease.
    assert_eq!(client.ask(&["SET", "a", "v", "NX"]), Reply::Status("OK".to_owned()));
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(3600));
}

#[test]
fn command_may_arrive_byte_by_byte_but_not_for_ever() {
    let server = Spec::in_memory().redis().configuration("[server]\nheader_timeout = \"4s\"\n").start();
    let mut client = RedisClient::new(&server);
    for byte in encoded(&[b"ECHO", b"a\r\nb"]) {
        client.send(&[byte]);
    }
    assert_eq!(client.read().expect("an answer"), Reply::Bulk("a\r\nb".to_owned()));
    // Sooner than by default.
    some_attempt_within(Duration::from_secs(9), || {
        let mut client = RedisClient::new(&server);
        let begun = Instant::now();
        client.send(b"*2\r\n$4\r\nECHO\r\n$5\r\nab");
        // A reset, if the server was held up until there was no time left to read.
        assert!(client.read().is_err());
        begun.elapsed()
    });
}

#[test]
fn long_pipeline_is_served_in_order() {
    const COMMANDS: usize = 20_000;
    let server = Spec::in_memory().redis().start();
    let mut client = RedisClient::new(&server);
    let mut bytes = Vec::new();
    (0..COMMANDS).for_each(|at| bytes.extend(encoded(&[b"ECHO", at.to_string().as_bytes()])));
    let mut writer = client.socket().try_clone().expect("a second handle");
    let sends = std::thread::spawn(move || writer.write_all(&bytes));
    for at in 0..COMMANDS {
        assert_eq!(client.read().expect("an answer"), Reply::Bulk(at.to_string()));
    }
    sends.join().expect("no panic").expect("sent");
}

#[test]
fn answer_in_a_pipeline_does_not_wait_for_later_commands() {
    const COMMANDS: usize = 3000;
    let server = Spec::in_memory().redis().start();
    let (mut client, mut other) = (RedisClient::new(&server), RedisClient::new(&server));
    let mut bytes = Vec::new();
    (0..COMMANDS).for_each(|at| bytes.extend(encoded(&[b"SET", at.to_string().as_bytes(), b"v", b"NX"])));
    let mut writer = client.socket().try_clone().expect("a second handle");
    let sends = std::thread::spawn(move || writer.write_all(&bytes));
    assert_eq!(client.read().expect("an answer"), Reply::Status("OK".to_owned()));
    let last = (COMMANDS - 1).to_string();
    assert_eq!(other.ask(&["EXISTS", &last]), Reply::Integer(0), "the first answer came after the last command");
    for _ in 1..COMMANDS {
        assert_eq!(client.read().expect("an answer"), Reply::Status("OK".to_owned()));
    }
    sends.join().expect("no panic").expect("sent");
}

#[test]
fn client_that_goes_on_sending_does_not_hold_up_the_end() {
    let server = Spec::in_memory().redis().configuration("[server]\ndrain_timeout = \"10m\"\n").start();
    let mut client = RedisClient::new(&server);
    assert_eq!(client.ask(&["SET", "a", "v", "NX"]), Reply::Status("OK".to_owned()));
    // Unlike new holds, renewals are not refused while the server ends.
    let renewals = encoded(&[b"PEXPIRE", b"a", b"30000"]).repeat(100);
    let mut writer = client.socket().try_clone().expect("a second handle");
    let sends = std::thread::spawn(move || while writer.write_all(&renewals).is_ok() {});
    assert_eq!(client.read().expect("an answer"), Reply::Integer(1));
    let reader = std::thread::spawn(move || while client.read().is_ok() {});
    let ended = server.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    sends.join().expect("no panic");
    reader.join().expect("no panic");
}

#[test]
fn connection_is_not_reset_by_what_is_sent_after_quit() {
    let server = Spec::in_memory().redis().start();
    let (mut client, mut other) = (RedisClient::new(&server), RedisClient::new(&server));
    client.send(&[encoded(&[b"QUIT"]), PING.repeat(4000)].concat());
    assert_eq!(client.read().expect("an answer"), Reply::Status("OK".to_owned()));
    assert!(client.is_closed());
    for _ in 0..10 {
        assert_eq!(other.ask(&["PING"]), Reply::Status("PONG".to_owned()));
    }
    let reset = client.socket().take_error().expect("asked");
    assert!(reset.is_none(), "what was not read yet could be lost: {reset:?}");
}

#[test]
fn client_that_reads_nothing_is_not_served_and_ends() {
    let settings = "[server]\nidle_timeout = \"2s\"\n";
    let server = Spec::in_memory().redis().configuration(settings).start();
    let mut client = RedisClient::new(&server);
    let command = encoded(&[b"ECHO", &[b'x'; 8 << 10]]);
    client.socket().set_write_timeout(Some(Duration::from_secs(60))).expect("set");
    // It ends with an error: the connection is closed on it, with most of its commands unread.
    let sent = (0..1_000_000).find(|_| client.socket().write_all(&command).is_err());
    assert!(sent.is_some_and(|sent| sent > 0 && sent < 100_000), "{sent:?}");
    assert_eq!(RedisClient::new(&server).ask(&["PING"]), Reply::Status("PONG".to_owned()), "others are served");
}

#[test]
fn unidentified_client_may_do_nothing() {
    let settings = "[access]\nfailure_limit = 3\n[redis]\nunidentified_command_bytes_max = \"1KiB\"\n";
    let server = Spec::in_memory().redis().configuration(settings).api_key("the-admin-of-the-tests").start();
    let mut client = RedisClient::new(&server);
    for command in [&["SET", "a", "v", "NX"][..], &["PING"], &["INFO"], &["CLIENT", "ID"], &["LPUSH", "a", "b"]] {
        let text = client.refused(command);
        assert!(text.starts_with("NOAUTH "), "{command:?}: {text}");
    }
    assert!(client.refused(&["HELLO", "3"]).starts_with("NOAUTH "));
    for (command, begin) in [
        (&["AUTH", "wrong"][..], "WRONGPASS credential-wrong: "),
        (&["AUTH", "user-u", "wrong"], "WRONGPASS credential-wrong: "),
        (&["HELLO", "3", "AUTH", "user-u", "wrong"], "WRONGPASS credential-wrong: "),
        (&["AUTH", "wrong"], "ERR too-many-attempts: "),
    ] {
        let text = client.refused(command);
        assert!(text.starts_with(begin) && !text.contains("user-u"), "{text}");
    }
    assert!(client.refused(&["AUTH", "wrong"]).contains("(access.failure_limit)"));
    // A valid key opens whatever its address did before.
    let Reply::Array(said) = client.ask(&["HELLO", "3", "AUTH", "any", "the-admin-of-the-tests", "SETNAME", "me"])
    else {
        panic!("no answer to HELLO")
    };
    assert!(said.contains(&Reply::Bulk("latchd".to_owned())), "{said:?}");
    assert_eq!(client.ask(&["CLIENT", "GETNAME"]), Reply::Bulk("me".to_owned()));
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
    assert_eq!(client.ask(&["RESET"]), Reply::Status("RESET".to_owned()));
    assert!(client.refused(&["GET", "a"]).starts_with("NOAUTH "), "RESET forgets the credential");
    let long = [b'x'; 1024];
    client.send(&encoded(&[b"AUTH", &long]));
    let refused = client.read().expect("an answer");
    assert!(
        matches!(&refused, Reply::Error(text) if text.contains("redis.unidentified_command_bytes_max")),
        "{refused:?}"
    );
    assert!(client.is_closed());
}

#[test]
fn commands_and_connections_are_counted() {
    let server = Spec::in_memory().redis().configuration("[server]\nconnections_per_address_max = 2\n").start();
    let (mut one, mut two) = (RedisClient::new(&server), RedisClient::new(&server));
    assert_eq!(one.ask(&["GET", "name-of-a-lock"]), Reply::Nil);
    assert!(two.refused(&["LPUSH", "name-of-a-lock", "x"]).starts_with("ERR unknown command \"LPUSH\""));
    let mut third = RedisClient::new(&server);
    let refused = third.read().expect("an answer");
    assert!(
        matches!(&refused, Reply::Error(text) if text.contains("server.connections_per_address_max")),
        "{refused:?}"
    );
    assert!(third.is_closed());
    let more = (0..40).map(|_| RedisClient::new(&server)).map(|mut refused| (refused.read().is_ok(), refused));
    let more: Vec<_> = more.collect();
    assert_eq!(Client::plain(&server).get("/livez").status, 200, "refused connections take no place of a probe");
    drop((one, two, more));
    let metrics = || Client::plain(&server).get("/metrics").text();
    until("the connections to end", || !metrics().contains("connections-full") && metrics().contains("redis_commands"));
    let shown = metrics();
    for line in [
        r#"latchd_redis_commands_total{command="GET",result="ok"} 1"#,
        r#"latchd_redis_commands_total{command="other",result="error"} "#,
    ] {
        assert!(shown.contains(line), "{line} in:\n{shown}");
    }
    assert!(!shown.contains("name-of-a-lock"));
}

#[test]
fn answers_have_the_form_that_hello_has_chosen() {
    let server = Spec::in_memory().redis().start();
    let mut client = RedisClient::new(&server);
    assert_eq!(client.refused(&["HELLO", "4"]), "NOPROTO unsupported protocol version: HELLO takes 2 or 3");
    for (version, nil) in [("2", "$-1\r\n"), ("3", "_\r\n")] {
        assert!(matches!(client.ask(&["HELLO", version]), Reply::Array(_)));
        client.send(&encoded(&[b"GET", b"none"]));
        let mut bytes = vec![0; nil.len()];
        std::io::Read::read_exact(client.socket(), &mut bytes).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&bytes), nil);
    }
    for (command, text) in [
        (&["SET", "a"][..], "ERR wrong number of arguments for 'set' command"),
        (&["SET", "a", "v", "NX", "XX"], "ERR syntax error in SET: latchd serves NX or XX, and PX or EX, each once"),
        (&["SET", "a", "v", "KEEPTTL"], "ERR syntax error in SET: latchd serves NX or XX, and PX or EX, each once"),
        (&["SET", "a", "v", "NX", "PX", "0"], "ERR invalid expire time in 'set' command"),
        (&["PEXPIRE", "a", "-1"], "ERR invalid expire time in 'pexpire' command"),
        (&["SET", "", "v", "NX"], "ERR invalid-field: the key is empty"),
        (&["SET", "a\0b", "v", "NX"], "ERR invalid-field: key must not contain a NUL character"),
        (&["SELECT", "16"], "ERR DB index is out of range: 0 to 15"),
        (&["EVAL", "return 1", "0"], "ERR this script is not supported: latchd runs no Lua"),
        (&["EVALSHA", "96da70f7716f27d278a5218544df37fd8b0a5e4c", "9", "a"], "ERR Number of keys can't be negative"),
        (&["EVALSHA", "96da70f7716f27d278a5218544df37fd8b0a5e4c", "1", "a", "v"], "ERR the script needs 2 arguments"),
        (&["EVALSHA", "96da70f7716f27d278a5218544df37fd8b0a5e4c", "0", "v"], "ERR the script needs a key"),
    ] {
        let refused = client.refused(command);
        assert!(refused.starts_with(text), "{command:?}: {refused}");
    }
    client.send(&encoded(&[b"GET", b"\xff"]));
    assert_eq!(client.read().expect("an answer"), error("ERR invalid-field: the key must be UTF-8"));
}

#[test]
fn listener_with_proxy_protocol_wants_its_header_first() {
    let proxied = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[access]\nallow_anonymous = true\n";
    let server =
        Spec::in_memory().argument("--listen").argument("redis://127.0.0.1:0?proxy_protocol").configuration(proxied);
    let server = server.start();
    let mut client = RedisClient::new(&server);
    client.send(&[b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 6379\r\n", PING].concat());
    assert_eq!(client.read().expect("an answer"), Reply::Status("PONG".to_owned()));
    let mut client = RedisClient::new(&server);
    client.send(PING);
    assert!(client.read().is_err(), "without a header");
}
