//! The committed messages and descriptors match the `.proto` files, so that a build needs no generator.
//!
//! After a change of a `.proto` file: `REFRESH_PROTO=1 cargo test --test all grpc::generated`.

use prost::Message;
use protox::Compiler;
use std::path::Path;

/// Each folder with a `.proto` file in it.
const FOLDERS: [(&str, &str); 5] = [
    ("src/dialects/ldlm/proto", "ldlm.proto"),
    ("src/dialects/kufuli/proto", "kufuli.proto"),
    ("src/dialects/lockd/proto", "lockd.proto"),
    ("src/dialects/raftlock/proto", "raftlock.proto"),
    ("src/api/grpc/proto", "health.proto"),
];

#[test]
fn generated_code_matches_the_proto_files() {
    for (folder, file) in FOLDERS {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let scratch = tempfile::tempdir().expect("a temporary directory");
        generate(&committed, file, scratch.path());
        if std::env::var_os("REFRESH_PROTO").is_some() {
            copy(scratch.path(), &committed);
        }
        for name in names(scratch.path()) {
            let same = read(&scratch.path().join(&name)) == read(&committed.join(&name));
            assert!(same, "{folder}/{name} differs. {HOW}");
        }
    }
}

const HOW: &str = "Run `REFRESH_PROTO=1 cargo test --test all grpc::generated` and commit what it writes";

fn generate(protos: &Path, file: &str, into: &Path) {
    let mut compiler = Compiler::new([protos]).expect("the folder exists");
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([file]).unwrap_or_else(|error| panic!("{error:?}"));
    let mut files = compiler.file_descriptor_set();
    let mut config = prost_build::Config::new();
    config.btree_map(["."]).out_dir(into);
    config.compile_fds(files.clone()).expect("the messages can be generated");
    // Comments are for the code; reflection clients show none.
    files.file.iter_mut().for_each(|file| file.source_code_info = None);
    std::fs::write(into.join("descriptors.bin"), files.encode_to_vec()).expect("the scratch directory can be written");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("google"))
        .collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path) {
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).expect("the generated file can be written");
    }
}

fn read(file: &Path) -> Vec<u8> {
    std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
