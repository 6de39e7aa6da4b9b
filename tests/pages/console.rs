//! The console as a browser without a script uses it: logging in and out, and what is done by hand.

use super::{body, lock, with_session};
use crate::support::client::Client;
use crate::support::console::{form_token, log_in, post_form};
use crate::support::http::Response;
use crate::support::process::Server;
use crate::support::spec::Spec;
use crate::support::sse::Events;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};

const PASSWORD: &str = "open sesame";
const READER: &str = "a reader's key";
const PART: &str = "a key for a part";
const COOKIE: &str = "latchd-console";
const FORM_COOKIE: &str = "latchd-console-form";

fn server() -> Server {
    let entry = |name: &str, secret: &str, rest: &str| {
        let digest: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{ name = \"{name}\", sha256 = \"{digest}\", {rest} }}")
    };
    let reader = entry("reader", READER, "role = \"read-only\"");
    let part = entry("part", PART, "role = \"admin\", prefixes = [\"part/\"]");
    Spec::in_memory().password(PASSWORD).configuration(format!("[access]\nkeys = [{reader}, {part}]\n")).start()
}

fn browser(server: &Server, secret: &str) -> Client {
    let mut browser = Client::plain(server).with_header("Accept", "text/html");
    let answer = log_in(&mut browser, secret);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")), "{}", answer.text());
    browser
}

fn program(server: &Server) -> Client {
    with_session(Client::plain(server).with_header("X-API-Key", PASSWORD))
}

/// Confirms an act on the page that asks for it.
fn act(browser: &mut Client, act: &str, query: &str, more: &str) -> Response {
    let asked = browser.get(&format!("/ui/act/{act}?{query}"));
    assert_eq!(asked.status, 200, "{}", asked.text());
    let token = form_token(&asked).expect("a form");
    post_form(browser, &format!("/ui/act/{act}"), &format!("{query}&{more}&form={token}"))
}

/// Follows an act to the page that says what was done.
fn done(browser: &mut Client, answer: &Response) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text());
    let page = browser.get(answer.header("location").expect("a page")).text();
    assert!(page.contains("class=\"note\" role=\"status\""), "{page}");
    page
}

fn shown(client: &mut Client, name: &str) -> Value {
    body(&client.get(&format!("/v1/locks?name={name}")))["locks"][0].clone()
}

#[test]
fn login_gives_a_cookie_for_the_console_alone_until_the_logout() {
    let server = server();
    let mut browser = Client::plain(&server).with_header("Accept", "text/html");
    let stranger = browser.get("/ui/events?kind=forced");
    assert_eq!((stranger.status, stranger.header("www-authenticate")), (401, Some("Bearer realm=\"latchd\"")));
    assert!(stranger.text().contains("name=\"next\" value=\"/ui/events?kind=forced\""), "{}", stranger.text());
    // Otherwise a link of another site would end the login of who follows it.
    assert_eq!(browser.cookie(COOKIE), None, "a login page leaves the cookie of a login alone");
    let before = browser.cookie(FORM_COOKIE).expect("a cookie of the form").to_owned();

    let wrong = log_in(&mut browser, "wrong");
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("this password or API key is not known") && !wrong.text().contains("wrong\""));

    let right = log_in(&mut browser, PASSWORD);
    assert_eq!((right.status, right.header("location")), (303, Some("/")), "{}", right.text());
    let set = right.header("set-cookie").expect("a cookie");
    assert!(set.contains("; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"), "{set}");
    let cookie = browser.cookie(COOKIE).expect("a cookie").to_owned();
    assert!(cookie != before && !cookie.contains("sesame"), "{cookie}");
    let page = browser.get("/ui/rights");
    assert!(page.status == 200 && page.text().contains("Log out"), "{}", page.text());

    for target in ["/v1/locks", "/v1/events", "/metrics"] {
        assert_eq!(browser.get(target).status, 401, "{target} takes no cookie of the console");
    }
    assert_eq!(browser.post("/session", &json!({})).status, 401);

    let token = form_token(&page).expect("the form of the logout");
    let mut fixed = Client::plain(&server);
    fixed.set_cookie(COOKIE, &before);
    assert_eq!(fixed.get("/ui/rights").status, 401, "the cookie from before the login opens nothing");
    let out = post_form(&mut browser, "/ui/logout", &format!("form={token}"));
    assert_eq!((out.status, out.header("location")), (303, Some("/ui/login")), "{}", out.text());
    browser.set_cookie(COOKIE, &cookie);
    assert_eq!(browser.get("/ui/rights").status, 401, "the old cookie is worth nothing");
}

/// Where a page without a script goes every few seconds.
fn reloads_itself_at(page: &Response) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("http-equiv=\"refresh\" content=\"5").expect("it reads itself anew");
    let query = rest.split('"').next().and_then(|place| place.strip_prefix("; url=")).unwrap_or("?kind=forced");
    format!("/ui/events{}", query.replace("&amp;", "&"))
}

#[test]
fn login_ends_behind_a_page_that_only_reads_itself_anew() {
    let server = Spec::in_memory().password(PASSWORD).configuration("[console]\nidle_timeout = \"5s\"\n").start();
    let (mut left, mut used) = (browser(&server, PASSWORD), browser(&server, PASSWORD));
    let mut page = left.get("/ui/events?kind=forced");
    let begun = Instant::now();
    while page.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the login lasts for ever");
        assert_eq!(used.get("/ui/events?kind=forced").status, 200, "somebody opens it again and again");
        page = left.get(&reloads_itself_at(&page));
    }
    assert_eq!(page.status, 401);
    assert!(page.text().contains("name=\"next\" value=\"/ui/events?kind=forced\""), "{}", page.text());
}

#[test]
fn login_form_is_for_one_browser_and_leads_to_own_pages_only() {
    let server = server();
    let mut browser = Client::plain(&server);
    let token = form_token(&browser.get("/ui/login")).expect("a form");
    let mut victim = Client::plain(&server);
    victim.get("/ui/login");
    let form = format!("form={token}&secret=open+sesame");
    assert_eq!(post_form(&mut victim, "/ui/login", &form).status, 403, "a form of another browser");
    assert_eq!(post_form(&mut Client::plain(&server), "/ui/login", &form).status, 403, "no cookie");
    for site in ["cross-site", "same-site"] {
        let own = [("Sec-Fetch-Site", site), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = browser.try_send_with("POST", "/ui/login", &own, form.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 403, "{site}");
    }
    assert_eq!(browser.send("POST", "/ui/login", form.as_bytes()).status, 415, "JSON");
    let elsewhere = post_form(&mut browser, "/ui/login", &format!("{form}&next=%2F%2Fevil.example"));
    assert_eq!((elsewhere.status, elsewhere.header("location")), (303, Some("/")));
    for _ in 0..10 {
        log_in(&mut victim, "a guess");
    }
    assert_eq!(log_in(&mut victim, "a guess").status, 429, "guesses are throttled as everywhere");
}

#[test]
fn acts_need_a_reason_and_say_what_was_done() {
    let server = server();
    let (mut browser, mut holder) = (browser(&server, PASSWORD), program(&server));
    lock(&mut holder, "deploy");
    let token = shown(&mut holder, "deploy")["holders"][0]["fencing_token"].to_string();
    let query = format!("name=deploy&token={token}");
    let page = browser.get(&format!("/ui/act/force-release?{query}")).text();
    assert!(page.contains(&token) && page.contains("checks fencing tokens"), "{page}");
    for reason in ["reason=", "reason=%20%20", &format!("reason={}", "r".repeat(257))] {
        let refused = act(&mut browser, "force-release", &query, reason);
        assert!(refused.status == 400 && refused.text().contains("a reason is needed"), "{}", refused.text());
    }
    let forged = post_form(&mut browser, "/ui/act/force-release", &format!("{query}&reason=x&form=00"));
    assert!(forged.status == 403 && forged.text().contains("The login of this form has ended"), "{}", forged.text());
    assert_eq!(shown(&mut holder, "deploy")["holders"][0]["fencing_token"].to_string(), token);
    let forced = act(&mut browser, "force-release", &query, "reason=%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!(done(&mut browser, &forced).contains(&format!("The hold under token {token} was ended")));
    assert_eq!(shown(&mut holder, "deploy"), Value::Null);

    let taken = act(&mut browser, "take", "name=deploy", "lease=3600&reason=by+hand");
    assert!(done(&mut browser, &taken).contains("Give back"));
    let lock = shown(&mut holder, "deploy");
    assert_eq!(lock["holders"][0]["metadata"]["reason"], "by hand");
    let query = format!("name=deploy&token={}", lock["holders"][0]["fencing_token"]);
    let stale = browser.get(&format!("/ui/act/force-release?name=deploy&token={token}"));
    let told = ["This hold has ended", "nothing was done", "another hold of this lock goes on"];
    assert!(stale.status == 404 && told.iter().all(|told| stale.text().contains(told)), "{}", stale.text());
    let again = act(&mut browser, "take", "name=deploy", "lease=3600&reason=x");
    assert!(again.status == 409 && again.text().contains("The lock is held"), "{}", again.text());
    let given = act(&mut browser, "give-back", &query, "reason=over");
    assert!(done(&mut browser, &given).contains("You gave the lock back"));
    assert_eq!(shown(&mut holder, "deploy"), Value::Null);
    // Lines of the log are written a little later than answers.
    let log = server.stop().stderr;
    assert!(log.contains("forced the release of \"deploy\": \"<script>"), "{log}");
}

#[test]
fn sessions_and_waiters_are_ended_and_their_clients_told() {
    let server = server();
    let (mut browser, mut holder, mut waiter) = (browser(&server, PASSWORD), program(&server), program(&server));
    lock(&mut holder, "busy");
    let waiting = std::thread::spawn(move || {
        let answer = waiter.post("/v1/lock", &json!({"name": "busy", "wait_timeout_seconds": 60}));
        answer.text()
    });
    let handle = loop {
        let page = browser.get("/ui/lock?name=busy").text();
        if let Some((_, rest)) = page.split_once("waiter=") {
            break rest[..12].to_owned();
        }
    };
    let dropped = act(&mut browser, "drop-waiter", &format!("name=busy&waiter={handle}"), "reason=late");
    assert!(done(&mut browser, &dropped).contains("The waiter was dropped"));
    let told = waiting.join().expect("it is answered");
    assert!(told.contains("wait-cancelled") && told.contains("an operator took this wait out of the queue"), "{told}");

    let session = shown(&mut holder, "busy")["holders"][0]["session"].as_str().expect("a handle").to_owned();
    let ended = act(&mut browser, "end-session", &format!("handle={session}"), "reason=hangs");
    assert!(done(&mut browser, &ended).contains("No such session"));
    assert_eq!(shown(&mut holder, "busy"), Value::Null);
    let log = server.stop().stderr;
    for line in ["dropped a waiter of \"busy\": \"late\"".to_owned(), format!("ended the session {session}: \"hangs\"")]
    {
        assert!(log.contains(&line), "{log}");
    }
}

/// A freeze with a moment as its end, which the page of locks tells beside the lock under it alone.
fn freeze_until(browser: &mut Client, holder: &mut Client) {
    lock(holder, "marked");
    let form = browser.get("/ui/freezes").text();
    let offered = |end: &str| form.split_once(end).expect("an end").1[..16].replace(':', "%3A");
    let (first, last) = (offered("min=\""), offered("max=\""));
    let freeze = |until: &str| format!("match=name&name=marked&holds=drain&for=900&until={until}");
    for (until, why) in
        [("soon", "a time in UTC"), (&first, "in the future"), ("2999-01-01T00%3A00", "locks.freeze_max")]
    {
        let refused = browser.get(&format!("/ui/act/freeze?{}", freeze(until)));
        assert!(refused.status == 400 && refused.text().contains(why), "{until}: {}", refused.text());
    }
    let frozen = act(browser, "freeze", &freeze(&last), "reason=%3Cb%3Elong");
    assert!(done(browser, &frozen).contains("29 d 23 h"));
    let listed = browser.get("/").text();
    let row = listed.split("<tr").find(|row| row.contains("marked")).expect("a row");
    let end = last.replace("%3A", ":");
    assert!(row.contains(">frozen</span> until") && row.contains(&end) && row.contains("&lt;b&gt;long"), "{row}");
    assert!(listed.contains("part/a") && listed.matches(">frozen</span>").count() == 1, "{listed}");
    let thawed = act(browser, "thaw", "name=marked", "reason=over");
    done(browser, &thawed);
    assert!(!browser.get("/").text().contains(">frozen</span>"));
}

#[test]
fn freeze_is_shown_with_its_reason_until_it_is_thawed() {
    let server = server();
    let (mut browser, mut holder) = (browser(&server, PASSWORD), program(&server));
    lock(&mut holder, "part/a");
    let freeze = "match=prefix&name=part%2F&holds=break&for=900";
    let page = browser.get(&format!("/ui/act/freeze?{freeze}&reason=%3Cb%3E")).text();
    for told in ["part/a", "All of that is ended", "<strong>15 min</strong>", "value=\"&lt;b&gt;\""] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(!page.contains("Only the lock of this name") && !page.contains("takes the place"), "{page}");
    let alone = browser.get("/ui/act/freeze?match=name&name=part%2F&holds=drain&for=900").text();
    assert!(
        alone.contains("Only the lock of this name") && alone.contains("looks like the start of others"),
        "{alone}"
    );
    for (wrong, why) in [
        ("match=everything&name=x&holds=drain&for=900", "leave the name empty"),
        ("match=prefix&name=&holds=drain&for=900", "a name is needed"),
        ("match=name&name=x&holds=drain&for=0", "for must be a number"),
        ("match=name&name=x&holds=drain&for=99999999999999999999", "for must be a number"),
        ("match=name&name=x&holds=drain&for=18446744073709551615", "locks.freeze_max"),
        ("match=name&name=x&holds=&for=900", "holds must be"),
        ("match=all&name=x&holds=drain&for=900", "match must be"),
    ] {
        let refused = browser.get(&format!("/ui/act/freeze?{wrong}"));
        assert!(refused.status == 400 && refused.text().contains(why), "{wrong}: {}", refused.text());
    }
    assert!(browser.get("/ui/freezes").text().contains("Nothing is frozen"));
    freeze_until(&mut browser, &mut holder);
    let frozen = act(&mut browser, "freeze", freeze, "reason=%3Cb%3Erelease");
    let page = done(&mut browser, &frozen);
    assert!(page.contains("It is frozen: all locks whose names start with it."), "{page}");
    let again = browser.get(&format!("/ui/act/freeze?{freeze}")).text();
    assert!(again.contains("It takes the place of") && again.contains("&lt;b&gt;release"), "{again}");
    let otherwise = browser.get("/ui/act/freeze?match=name&name=part%2F&holds=drain&for=900");
    assert!(otherwise.status == 409 && otherwise.text().contains("thaw that first"), "{}", otherwise.text());
    assert!(page.contains("&lt;b&gt;release") && page.contains("was ended") && page.contains("act/thaw"), "{page}");
    for name in ["part/a", "part/other"] {
        let page = browser.get(&format!("/ui/lock?name={name}")).text();
        assert!(page.contains("Nobody holds this lock") && page.contains("&lt;b&gt;release"), "{page}");
    }
    assert!(!browser.get("/ui/lock?name=elsewhere").text().contains("release"));

    let mut part = self::browser(&server, PART);
    for (act, right) in
        [("freeze?match=everything&holds=drain&for=900", "freeze everything"), ("thaw", "thaw everything")]
    {
        let refused = part.get(&format!("/ui/act/{act}"));
        assert!(refused.status == 403 && refused.text().contains(right), "{}", refused.text());
    }
    let everything = act(&mut browser, "freeze", "match=everything&holds=drain&for=3600", "reason=secret");
    done(&mut browser, &everything);
    assert!(part.get("/ui/freezes").text().contains("secret"), "it concerns all names");
    let elsewhere =
        act(&mut browser, "freeze", "match=name&name=elsewhere&holds=drain&for=900", "reason=nothing+of+theirs");
    done(&mut browser, &elsewhere);
    assert!(!part.get("/ui/freezes").text().contains("nothing of theirs"));
    let thawed = act(&mut part, "thaw", "name=part%2F", "reason=over");
    assert!(!done(&mut part, &thawed).contains("&lt;b&gt;release"));
    let thawed = act(&mut browser, "thaw", "", "reason=over");
    assert!(done(&mut browser, &thawed).contains("elsewhere"));
    assert_eq!(browser.get("/ui/act/thaw?name=part%2F").status, 404);
}

#[test]
fn stream_ends_after_the_logout() {
    let server = server();
    let mut browser = browser(&server, PASSWORD);
    let cookie = format!("Cookie: {COOKIE}={}", browser.cookie(COOKIE).expect("a cookie"));
    let mut stream = Events::open(server.http(), "/ui/stream", &[&cookie]);
    stream.expect("started");
    let token = form_token(&browser.get("/ui/rights")).expect("the form of the logout");
    assert_eq!(post_form(&mut browser, "/ui/logout", &format!("form={token}")).status, 303);
    while stream.block().is_some() {}
    assert_eq!(Events::open(server.http(), "/ui/stream", &[&cookie]).status, 401);
}

#[test]
fn refusal_names_the_right_that_is_missing() {
    let server = server();
    let mut holder = program(&server);
    for name in ["secret", "part/own"] {
        lock(&mut holder, name);
    }
    let token = shown(&mut holder, "secret")["holders"][0]["fencing_token"].to_string();
    let force = format!("/ui/act/force-release?name=secret&token={token}");
    let mut reader = browser(&server, READER);
    let refused = reader.get(&force);
    assert_eq!(refused.status, 403);
    let right = "lacks the right to force the release of the lock &quot;secret&quot;: it needs the role admin.";
    assert!(refused.text().contains(right), "{}", refused.text());
    assert!(!reader.get("/ui/lock?name=secret").text().contains("/ui/act/"), "what nobody may is not offered");

    let mut part = browser(&server, PART);
    let handle = shown(&mut holder, "secret")["holders"][0]["session"].as_str().expect("a handle").to_owned();
    let (outside, limited) = ("the name lies outside of the prefixes", "it is limited to some lock names");
    for (target, why) in [
        (&*force, outside),
        ("/ui/lock?name=secret", outside),
        (
            "/ui/act/freeze?match=prefix&name=sec&holds=drain&for=60",
            "the right to freeze &quot;sec&quot;: the name lies",
        ),
        ("/ui/sessions", limited),
        (&format!("/ui/act/end-session?handle={handle}"), limited),
    ] {
        let refused = part.get(target);
        let told = refused.text();
        assert!(refused.status == 403 && told.contains("lacks the right") && told.contains(why), "{target}: {told}");
    }
    let both = json!({"names": ["part/both", "secret too"], "lock_timeout_seconds": 600});
    assert_eq!(holder.post("/v1/lock", &both).status, 200);
    let token = shown(&mut holder, "part/both")["holders"][0]["fencing_token"].to_string();
    for (act, status, told) in
        [("force-release", 403, "lacks the right to some of them"), ("give-back", 409, "not taken in the console")]
    {
        let refused = part.get(&format!("/ui/act/{act}?name=part%2Fboth&token={token}"));
        let page = refused.text();
        assert!(refused.status == status && page.contains(told) && !page.contains("secret too"), "{page}");
    }
    for target in ["/", "/?sort=age", "/?prefix=s", "/ui/events", "/ui/elections", "/ui/lock?name=part%2Fown"] {
        let page = part.get(target);
        assert!(page.status == 200 && !page.text().contains("secret"), "{target}: {}", page.text());
    }
    assert!(part.get("/").text().contains("part/own") && part.get("/ui/events").text().contains("part/own"));
}

#[test]
fn orders_and_searches_show_what_they_say() {
    let server = Spec::in_memory().start();
    let mut client = with_session(Client::plain(&server));
    for (name, lease) in [("job/b", 300), ("job/a", 100), ("other", 200)] {
        let asked = json!({"name": name, "lock_timeout_seconds": lease});
        assert_eq!(body(&client.post("/v1/lock", &asked))["locked"], true);
        // Cluster time has milliseconds, and the next one is to be younger.
        while shown(&mut client, name)["holders"][0]["held_for_seconds"] == 0.0 {}
    }
    let mut rows = |target: &str| {
        let page = client.get(target).text();
        let rows: Vec<String> = page
            .split("class=\"name\" href=\"/ui/lock?name=")
            .skip(1)
            .collect::<Vec<_>>()
            .into_iter()
            .map(|rest| rest.split('"').next().unwrap_or_default().replace("%2F", "/"))
            .collect();
        rows
    };
    assert_eq!(rows("/?sort=age"), ["job/b", "job/a", "other"]);
    assert_eq!(rows("/?sort=end"), ["job/a", "other", "job/b"]);
    assert_eq!(rows("/?sort=name&has=o&prefix=job"), ["job/a", "job/b"]);
    assert_eq!(rows("/?has=the"), ["other"]);
    assert_eq!(rows("/?state=contended"), Vec::<String>::new());
}
