//! Our own Go client and its adapters for gocron: their tests against the built binary under the race detector, `go vet` and
//! the format.

use super::tools::{go, run};

/// Each folder is a module.
const CLIENT: &str = "clients/go";
const GOCRON: &str = "clients/go/gocron";

#[test]
fn go_client_passes_its_tests() {
    test(CLIENT);
}

#[test]
fn gocron_adapters_pass_their_tests() {
    test(GOCRON);
}

#[test]
fn go_client_and_adapters_are_vetted_and_formatted() {
    for module in [CLIENT, GOCRON] {
        // With the standard library as the tests have built it.
        run(go(module).args(["vet", "-race", "./..."]));
    }
    let unformatted = run(go(CLIENT).args(["run", "cmd/gofmt", "-l", "."]));
    assert_eq!(unformatted, "", "run gofmt -w on these");
}

fn test(module: &str) {
    let mut command = go(module);
    command.args(["test", "-race", "-count=1", "-timeout=400s", "./..."]);
    run(command.env("LATCHD_BINARY", env!("CARGO_BIN_EXE_latchd")));
}
