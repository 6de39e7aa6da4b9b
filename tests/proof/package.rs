//! The Debian package: made of the built binary, then installed, upgraded and purged in namespaces of its own.

use super::tools::{program, run};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub fn package(folder: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let pinned = Path::new(ROOT).join("target/cargo-deb/bin");
    assert!(pinned.join("cargo-deb").is_file(), "the tests need cargo-deb: run `make tools`");
    let path = std::iter::once(pinned).chain(std::env::split_paths(&path));
    let package = folder.join("latchd.deb");
    std::fs::File::create(&package).expect("made");
    let mut build = Command::new(Path::new(ROOT).join("deploy/deb/build"));
    build.arg(env!("CARGO_BIN_EXE_latchd")).arg(&package).args(["--fast", "--offline"]);
    run(build.env("PATH", std::env::join_paths(path).expect("no colons")));
    package
}

/// The same package with a higher version and another file of configuration.
fn newer(package: &Path, folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    run(program("dpkg-deb").arg("-R").arg(package).arg(&tree));
    let replace = |file: &str, from: &str, to: &str| {
        let file = tree.join(file);
        let text = std::fs::read_to_string(&file).expect("a file of the package");
        assert!(text.contains(from), "{text}");
        std::fs::write(&file, text.replacen(from, to, 1)).expect("written");
    };
    replace("DEBIAN/control", concat!("Version: ", env!("CARGO_PKG_VERSION"), "-1"), "Version: 9.0.0");
    replace("etc/latchd/config.toml", "# ", "# of the newer package\n# ");
    let newer = folder.join("newer.deb");
    run(program("dpkg-deb").args(["-Znone", "--root-owner-group", "-b"]).arg(&tree).arg(&newer));
    newer
}

#[test]
fn debian_package_installs_serves_upgrades_and_purges() {
    let folder = tempfile::tempdir().expect("a directory");
    let package = package(folder.path());
    let newer = newer(&package, folder.path());
    let stage = folder.path().join("stage");
    std::fs::create_dir(&stage).expect("made");
    let mut own = program("unshare");
    own.args(["--fork", "--pid", "--mount", "--net", "--kill-child", "--propagation", "private", "timeout", "120"]);
    run(own.arg(Path::new(ROOT).join("tests/proof/package.sh")).arg(&stage).arg(&package).arg(&newer));
}
