//! Every page that claims to run is run from top to bottom, word for word, beside the server of the README's second command.

use super::markdown::{Page, block, files, root};
use crate::support::machine::Machine;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Blocks in these languages run.
pub const RUNS: [&str; 2] = ["sh", "python"];

/// What the README's reader has done before: started the server. Ports, certificates and addresses are the usual ones.
const BEFORE: &str = "git init -q .
latchd serve --listen https://127.0.0.1:8443 > serve.log 2>&1 &
latchd health --wait 60s --url https://127.0.0.1:8443
export LATCHD_URL=https://127.0.0.1:8443
";

/// The folders with Python packages and `.proto` files that a reader has on the import path.
fn import_path() -> String {
    let mut folders = vec!["clients/python/src".to_owned(), "target/venv/py-ldlm/newest".to_owned()];
    let protos = files(&["src"]).into_iter().filter(|file| file.ends_with(".proto"));
    folders.extend(protos.filter_map(|file| Some(file.rsplit_once('/')?.0.to_owned())));
    folders.dedup();
    let folders = folders.iter().map(|folder| root().join(folder)).chain([registered().to_owned()]);
    folders.map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(":")
}

/// A folder with what an installation of the Python client would register: the names by which others find its plug-ins.
fn registered() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let project = std::fs::read_to_string(root().join("clients/python/pyproject.toml")).expect("read");
        let project: toml::Table = project.parse().expect("TOML");
        let groups = project["project"]["entry-points"].as_table().expect("a table");
        let mut lines = String::new();
        for (group, names) in groups {
            lines += &format!("[{group}]\n");
            for (name, object) in names.as_table().expect("a table") {
                lines += &format!("{name} = {}\n", object.as_str().expect("a text"));
            }
        }
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registered");
        let described = made.join("latchd-0.dist-info");
        std::fs::create_dir_all(&described).expect("a folder");
        std::fs::write(described.join("METADATA"), "Metadata-Version: 2.1\nName: latchd\nVersion: 0\n")
            .expect("written");
        std::fs::write(described.join("entry_points.txt"), lines).expect("written");
        made
    })
}

/// The running blocks of a page as one script.
pub fn script(path: &str) -> String {
    let python = root().join("target/venv/bin/python");
    let mut script = String::new();
    for block in Page::read(path).blocks() {
        match block.language() {
            "sh" => script += &block.text,
            "python" => {
                let (path, cache) = (import_path(), registered().display());
                script += &format!("PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={path} XDG_CACHE_HOME={cache} ");
                script += &format!("{} - <<'END'\n", python.display());
                script += &format!("{}END\n", block.text);
            }
            _ => {}
        }
    }
    script
}

/// Runs these pages on one machine, and checks that git would take along nothing of what they leave.
pub fn run(paths: &[&str], machine: &Machine) -> String {
    std::fs::copy(root().join(".gitignore"), machine.home.path().join(".gitignore")).expect("copied");
    machine.run(BEFORE);
    let url = "export LATCHD_URL=https://127.0.0.1:8443\n";
    let scripts: Vec<String> = paths.iter().map(|path| script(path)).collect();
    let shown = machine.run(&format!("{url}{}", scripts.join("\n")));
    let left = machine.run("git ls-files --others --exclude-standard | grep -vx -e .gitignore -e shown || true");
    assert_eq!(left, "", "git would take these along");
    shown
}

/// Runs a page, and once more where a busy machine kept a service from answering within `--wait`.
fn run_on_new_machine(path: &str, number: u8) {
    let first = std::panic::catch_unwind(|| run(&[path], &Machine::new(number)));
    if let Err(panic) = first {
        let is_late = panic.downcast_ref::<String>().is_some_and(|told| told.contains("no answer in time"));
        if !is_late {
            std::panic::resume_unwind(panic);
        }
        run(&[path], &Machine::new(number));
    }
}

macro_rules! pages {
    ($($name:ident: $path:literal on $number:literal),* $(,)?) => {
        $(#[test]
        fn $name() {
            run_on_new_machine($path, $number);
        })*
        /// Besides those of `super::cluster`.
        const TESTED: &[&str] = &[$($path),*];
    };
}

pages! {
    certificates_run_as_written: "docs/certificates.md" on 41,
    command_line_runs_as_written: "docs/command-line.md" on 42,
    doubledutch_runs_as_written: "docs/dialects/doubledutch.md" on 43,
    elections_run_as_written: "docs/elections.md" on 55,
    events_run_as_written: "docs/events.md" on 44,
    fencing_runs_as_written: "docs/fencing.md" on 56,
    freezes_run_as_written: "docs/freezes.md" on 68,
    grpc_runs_as_written: "docs/grpc.md" on 45,
    http_runs_as_written: "docs/http.md" on 46,
    kufuli_runs_as_written: "docs/dialects/kufuli.md" on 47,
    ldlm_runs_as_written: "docs/dialects/ldlm.md" on 48,
    lockd_runs_as_written: "docs/dialects/lockd.md" on 49,
    locks_run_as_written: "docs/locks.md" on 57,
    operations_run_as_written: "docs/operations.md" on 50,
    python_client_runs_as_written: "clients/python/README.md" on 51,
    raftlock_runs_as_written: "docs/dialects/raftlock.md" on 52,
    recipes_run_as_written: "docs/recipes.md" on 61,
    redis_runs_as_written: "docs/dialects/redis.md" on 62,
    retries_run_as_written: "docs/retries.md" on 53,
    tracing_runs_as_written: "docs/tracing.md" on 67,
    terraform_runs_as_written: "docs/dialects/terraform.md" on 59,
    use_cases_run_as_written: "docs/use-cases.md" on 58,
}

#[test]
fn every_page_with_a_running_block_has_a_test() {
    let has_running = |page: &Page| page.blocks().iter().any(|block| RUNS.contains(&block.language()));
    let pages: Vec<String> = Page::all().into_iter().filter(has_running).map(|page| page.path).collect();
    let mut tested: Vec<&str> = TESTED.iter().chain(&super::cluster::TESTED).copied().collect();
    tested.sort_unstable();
    assert_eq!(pages, tested);
}

#[test]
fn failing_block_fails_its_page() {
    let machine = Machine::new(54);
    std::fs::write(machine.home.path().join("fails.md"), "```sh\ntrue\nfalse\ntrue\n```\n").expect("written");
    let path = machine.home.path().join("fails.md").display().to_string();
    let script = script(&path);
    assert_eq!(script, "true\nfalse\ntrue\n");
    assert!(std::panic::catch_unwind(|| machine.run(&script)).is_err());
    assert!(block("README.md", "sh tour").contains("POST $URL/session"), "a named block is one of the running ones");
}
