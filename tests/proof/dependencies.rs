//! What the program is built from: no version with a known fault, no licence that is not allowed, as `deny.toml` says.

use std::collections::BTreeSet;
use std::process::Command;

use semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

use super::tools::run;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[derive(Deserialize)]
struct Rules {
    advisories: Exceptions,
    licenses: Licences,
}

#[derive(Deserialize)]
struct Exceptions {
    ignore: Vec<Exception>,
}

#[derive(Deserialize)]
struct Exception {
    id: String,
}

#[derive(Deserialize)]
struct Licences {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Copy {
    advisories: Vec<Advisory>,
}

/// A fault of a crate, as the RustSec database has it: it is in every version that is not named.
#[derive(Deserialize)]
struct Advisory {
    id: String,
    package: String,
    kind: String,
    patched: Vec<VersionReq>,
    unaffected: Vec<VersionReq>,
}

impl Advisory {
    fn concerns(&self, package: &Locked) -> bool {
        let free = self.patched.iter().chain(&self.unaffected);
        self.package == package.name && !free.into_iter().any(|versions| versions.matches(&package.version))
    }
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: Version,
}

fn read<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let text = std::fs::read_to_string(format!("{ROOT}/{file}")).expect(file);
    toml::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn found(package: &Locked, advisories: &[Advisory]) -> Vec<String> {
    let found = advisories.iter().filter(|advisory| advisory.concerns(package));
    found.map(|fault| format!("{}: {} {} ({})", fault.id, package.name, package.version, fault.kind)).collect()
}

#[test]
fn no_dependency_has_a_known_fault() {
    let (rules, copy): (Rules, Copy) = (read("deny.toml"), read("tests/proof/advisories.toml"));
    let ignored: BTreeSet<String> = rules.advisories.ignore.into_iter().map(|ignored| ignored.id).collect();
    let known: Vec<Advisory> = copy.advisories.into_iter().filter(|known| !ignored.contains(&known.id)).collect();
    let faults: Vec<String> = ["Cargo.lock", "fuzz/Cargo.lock"]
        .iter()
        .flat_map(|file| read::<Lock>(file).package)
        .flat_map(|package| found(&package, &known))
        .collect();
    assert!(faults.is_empty(), "raise the version, or ignore it in deny.toml with the reason: {faults:#?}");
}

#[test]
fn version_with_known_fault_is_found() {
    let known = read::<Copy>("tests/proof/advisories.toml").advisories;
    let version = |version: &str| Locked { name: "tokio".into(), version: version.parse().expect("a version") };
    assert!(found(&version("1.44.1"), &known)[0].starts_with("RUSTSEC-2025-0023: tokio 1.44.1"));
    assert!(found(&version("1.44.2"), &known).is_empty());
}

#[test]
fn every_licence_is_allowed() {
    let rules: Rules = read("deny.toml");
    let allowed: Vec<Licensee> =
        rules.licenses.allow.iter().map(|licence| Licensee::parse(licence).expect("an SPDX id")).collect();
    let mut metadata = Command::new(env!("CARGO"));
    let metadata = run(metadata.args(["metadata", "--locked", "--format-version", "1"]).current_dir(ROOT));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).expect("JSON");
    for package in metadata["packages"].as_array().expect("packages") {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name} names no licence"));
        let licence = Expression::parse_mode(licence, ParseMode::LAX).unwrap_or_else(|error| panic!("{name}: {error}"));
        let is_allowed = licence.evaluate(|asked| allowed.iter().any(|allowed| allowed.satisfies(asked)));
        assert!(is_allowed, "the licence of {name}, {licence}, is not in deny.toml");
    }
}
