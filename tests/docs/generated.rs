//! Tables of the reference that repeat the code: each is compared with it, and written anew on request.

use super::markdown::{Page, files, root};
use crate::support::client::Client;
use crate::support::spec::Spec;
use latchd::audit::Action;
use latchd::http::code::Code;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

const REFRESH: &str = "REFRESH_DOCS=1 cargo test --locked --features mutants --test all docs::generated";

/// Compares what stands between the marks of this table with what the code says.
fn check(path: &str, table: &str, made: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let text = Page::read(path).text;
    let (begin, end) = (format!("<!-- table: {table} -->\n"), "<!-- end of table -->");
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{path} has no mark {begin}"));
    let (there, after) = rest.split_once(end).expect("the end of the table");
    let made = format!("\n{}\n\n", made.trim_end());
    if std::env::var_os("REFRESH_DOCS").is_some() {
        std::fs::write(root().join(path), format!("{before}{begin}{made}{end}{after}"))
            .expect("the page can be written");
    } else {
        assert_eq!(there, made, "the table `{table}` of {path} is not what the code says; refresh it with: {REFRESH}");
    }
}

fn row(cells: &[&str]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn head(cells: &[&str]) -> String {
    row(cells) + "|" + &"---|".repeat(cells.len()) + "\n"
}

/// The metrics of a server with TLS and an issuer that has answered a request, and of a leader of two nodes.
pub fn exposition() -> String {
    const KEY: &str = "key-of-the-tests";
    let issuer = "[[access.oidc]]\nissuer = \"http://127.0.0.1:1\"\naudience = \"x\"\n";
    let rule = "[[access.oidc.rules]]\nclaims = { sub = \"x\" }\nrole = \"client\"\n";
    let server = Spec::in_memory().api_key(KEY).configuration(format!("{issuer}{rule}")).start();
    let mut client = Client::plain(&server).with_header("X-API-Key", KEY);
    client.get("/livez");
    let leader = latchd::telemetry::Metrics::default();
    leader.peer_lag.set([(latchd::telemetry::gauges::NodeLabels { node: 2 }, 1)].into_iter());
    leader.key_expiry.set([(latchd::telemetry::gauges::RoleLabels { role: "client" }, 1)].into_iter());
    client.get("/metrics").text() + &leader.encode(latchd::telemetry::metrics::registry())
}

#[test]
fn metrics_are_those_of_the_server() {
    let text = exposition();
    let mut metrics = BTreeMap::new();
    let mut help = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help.insert(name, words.trim_end_matches('.'));
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            metrics.insert(name, kind);
        }
    }
    let mut made = head(&["metric", "type", "meaning"]);
    for (name, kind) in &metrics {
        let shown = if *kind == "counter" { format!("`{name}_total`") } else { format!("`{name}`") };
        made += &row(&[&shown, kind, help.get(name).expect("a metric with its help")]);
    }
    assert!(metrics.len() > 50, "only {} metrics were found", metrics.len());
    check("docs/metrics.md", "metrics", &made);
}

#[test]
fn acts_are_those_of_the_audit_log() {
    let rows = Action::ALL.iter().map(|action| row(&[&format!("`{}`", action.name()), action.about()]));
    check("docs/audit.md", "acts", &rows.fold(head(&["action", "what it is"]), |made, row| made + &row));
}

fn document() -> Value {
    let text = std::fs::read_to_string(root().join("openapi/latchd.json")).expect("the document");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn endpoints_are_those_of_the_openapi_document() {
    let document = document();
    let mut by_tag: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let tag = operation["tags"][0].as_str().expect("a tag").to_owned();
            let summary = operation["summary"].as_str().expect("a summary");
            let call = format!("`{} {path}`", method.to_uppercase());
            *by_tag.entry(tag).or_insert_with(|| head(&["call", "what it does"])) += &row(&[&call, summary]);
            count += 1;
        }
    }
    assert!(count > 25, "only {count} operations were found");
    let mut made = String::new();
    for tag in document["tags"].as_array().expect("tags") {
        let name = tag["name"].as_str().expect("a name");
        let rows = by_tag.get(name).unwrap_or_else(|| panic!("{name} has no operation"));
        write!(made, "**{name}**\n\n{rows}\n").expect("text can be written");
    }
    check("docs/http.md", "endpoints", &made);
}

/// Follows a reference within the document.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(path) => document.pointer(path.trim_start_matches('#')).expect("the schema"),
        None => schema,
    }
}

/// One row for each field of a request and of its answer.
fn fields(document: &Value, path: &str) -> String {
    let operation = &document["paths"][path]["post"];
    let content = |part: &Value| part["content"]["application/json"]["schema"].clone();
    let responses = operation["responses"].as_object().expect("answers");
    let (_, answer) = responses.iter().find(|(status, _)| status.starts_with('2')).expect("a good answer");
    let mut made = String::new();
    for (side, schema) in [("request", content(&operation["requestBody"])), ("answer", content(answer))] {
        let schema = resolve(document, &schema);
        for (name, property) in schema["properties"].as_object().expect("fields") {
            let words = property["description"].as_str().unwrap_or_default().replace('\n', " ");
            let words = words.replace('|', "\\|");
            made += &row(&[side, &format!("`{name}`"), words.trim_end_matches('.')]);
        }
    }
    made
}

#[test]
fn fields_are_those_of_the_openapi_document() {
    let document = document();
    let mut made = String::new();
    for path in ["/session", "/v1/lock", "/v1/renew", "/v1/unlock", "/v1/upgrade", "/v1/downgrade", "/v1/transfer"] {
        let rows = fields(&document, path);
        write!(made, "`POST {path}`\n\n{}{rows}\n", head(&["in", "field", "meaning"])).expect("text can be written");
    }
    check("docs/http.md", "fields", &made);
}

#[test]
fn statuses_are_those_of_the_error_table() {
    let mut by_status: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for code in Code::ALL {
        let status = format!("`{:?}`", code.grpc());
        by_status.entry(status).or_default().push(format!("`{}`", code.row().name));
    }
    let rows = by_status.iter().map(|(status, codes)| row(&[status, &codes.join(", ")]));
    check("docs/grpc.md", "statuses", &(head(&["gRPC status", "errors"]) + &rows.collect::<String>()));
}

/// The text of an HTML fragment as Markdown.
fn text(html: &str) -> String {
    let marked = html.replace("<code>", "`").replace("</code>", "`").replace("<span class=\"via\">", " ");
    let mut shown = String::new();
    let mut in_tag = false;
    for character in marked.chars() {
        match character {
            '<' => in_tag = true,
            '>' => in_tag = false,
            other if !in_tag => shown.push(other),
            _ => {}
        }
    }
    shown.replace("&#39;", "'").replace("&quot;", "\"").replace("&amp;", "&").replace('|', "\\|").trim().to_owned()
}

#[test]
fn errors_are_those_of_the_served_page() {
    let server = Spec::in_memory().start();
    let page = Client::plain(&server).get("/docs/errors").text();
    let mut made = head(&["code", "status", "retryable", "meaning and what to do"]);
    let mut count = 0;
    for line in page.split("<tr id=").skip(1) {
        let line = line.split("</tr>").next().expect("a row");
        let cells: Vec<String> = line.split("<td").skip(1).map(|cell| text(&format!("<td{cell}"))).collect();
        made += &row(&cells.iter().map(String::as_str).collect::<Vec<_>>());
        count += 1;
    }
    assert!(count > 50, "only {count} errors were found");
    check("docs/http.md", "errors", &made);
}

#[test]
fn services_are_those_of_the_proto_files() {
    let mut made = head(&["service", "methods", "file"]);
    let mut count = 0;
    for file in files(&["src"]).into_iter().filter(|file| file.ends_with(".proto")) {
        let proto = std::fs::read_to_string(root().join(&file)).expect("a proto file");
        let after = |word: &str| proto.lines().find_map(|line| line.trim().strip_prefix(word)).expect("a line");
        let package = after("package ").trim_end_matches(';');
        let service = after("service ").trim_end_matches(" {");
        let methods = proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
        let methods: Vec<String> = methods.map(|method| format!("`{method}`")).collect();
        let link = format!("[`{}`](../{file})", file.rsplit('/').next().expect("a name"));
        made += &row(&[&format!("`{package}.{service}`"), &methods.join(", "), &link]);
        count += 1;
    }
    assert_eq!(count, 5, "four dialects and the health check");
    check("docs/grpc.md", "services", &made);
}

fn help(arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_latchd"));
    let output = command.args(arguments).arg("--help").output().expect("the binary runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The words that begin the lines of a section of a help text, up to the next empty line.
fn entries<'a>(help: &'a str, section: &str) -> Vec<&'a str> {
    let (_, after) = help.split_once(&format!("{section}:\n")).expect("the section");
    let lines = after.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("    "));
    lines.filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn every_subcommand_is_in_the_command_line_guide() {
    let guide = Page::read("docs/command-line.md").text;
    let help = help(&[]);
    let commands: Vec<&str> = entries(&help, "Commands").into_iter().filter(|name| *name != "help").collect();
    assert!(commands.len() > 10, "only {commands:?} were found");
    for command in commands {
        assert!(guide.contains(&format!("`latchd {command}")), "{command} is missing");
    }
}

#[test]
fn exit_codes_of_lock_are_those_of_its_help() {
    let help = help(&["lock"]);
    let told: Vec<u8> = entries(&help, "Exit codes").iter().filter_map(|word| word.parse().ok()).collect();
    assert!(told.len() > 8, "only {told:?} were found");
    let guide = Page::read("docs/command-line.md").text;
    let (_, table) = guide.split_once("| exit code of `latchd lock` |").expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|') || line.starts_with(' '));
    let cells = rows.filter_map(|line| line.split('|').nth(1)).flat_map(|cell| cell.split(", "));
    let mut shown: Vec<u8> = cells.filter_map(|cell| cell.trim().parse().ok()).collect();
    let mut told = told;
    shown.sort_unstable();
    told.sort_unstable();
    assert_eq!(shown, told);
}

/// `make tools` installs them, and a reader of the guide sees which.
#[test]
fn packages_of_the_tests_are_those_of_the_makefile() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let (_, after) = makefile.split_once("TOOLS := ").expect("the tools");
    let list = after.split("\n\n").next().and_then(|text| text.split("\nNODE").next()).expect("a list");
    let packages = list.split_whitespace().filter_map(|tool| tool.split_once(':')).map(|(_, package)| package);
    let guide = Page::read("CONTRIBUTING.md").quoted();
    for package in packages {
        assert!(guide.iter().any(|word| word == package), "{package} is missing in CONTRIBUTING.md");
    }
}
