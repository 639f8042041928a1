//! Which module may use which: each only those that stand below it. A circle would weld its modules together, so that
//! none of them could be read, tested or moved alone.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// From the top down. Modules on one line do not use each other.
const ENGINE: &[&str] = &[
    "lib",
    "fuzzing",
    "client",
    "admin",
    "consumer producer",
    "commits group_log",
    "stored_offsets",
    "log_offsets",
    "session",
    "metadata",
    "controller",
    "profile",
    "options",
    "transport",
    "blocking events executor replies",
    "limit guard smartmodule",
    "backoff boottime metrics descriptors",
    "error",
    "log sealing",
];

const ABI: &[&str] = &[
    "lib",
    "fuzzing",
    "admin consumer debug errors events lifecycle logs metrics producer profiles watch",
    "client",
    "owner",
    "arrow",
    "encode json operation records tls transforms",
    "queue runtime",
    "bytes",
    "boundary",
    "closing fork status structs",
    "handle",
    "pointer",
];

const CLUSTER: &[&str] = &[
    "main",
    "lib",
    "fuzzing",
    "cluster",
    "sc",
    "spu",
    "control listener temporary tls",
    "config faults",
    "smartmodules",
    "files log net",
    "socket",
];

const GROUP: &[&str] = &[
    "lib",
    "fuzzing",
    "newcomer participant",
    "replica",
    "apply directory json",
    "assign command",
    "guard roll",
    "state",
    "names",
];

/// The Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// What stands before the tests of a file, without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The modules of the crate's root that the code names: `crate::a::B`, and `crate::{a::B, c}`.
fn used(code: &str) -> Vec<String> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with(is_word))
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            assert!(!rest.starts_with('{'), "one module a line: {}", rest.lines().next().unwrap_or_default());
            rest.chars().take_while(|letter| is_word(*letter)).collect()
        })
        .collect()
}

/// Every use, in the crate at `source`, of what does not stand below the user.
fn climbing(source: &Path, layers: &[&str]) -> Vec<String> {
    let layer = |module: &str| layers.iter().position(|layer| layer.split(' ').any(|name| name == module));
    let mut found = Vec::new();
    for path in sources(source) {
        let inside = path.strip_prefix(source).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs");
        if module == "tests" || path.ends_with("tests.rs") {
            continue;
        }
        let Some(own) = layer(module) else {
            found.push(format!("{module} has no layer"));
            continue;
        };
        for other in used(&code(&fs::read_to_string(&path).unwrap())) {
            match layer(&other) {
                None => found.push(format!("{} uses {other}, which has no layer: name its module", inside.display())),
                Some(_) if other == module => {}
                Some(below) if below > own => {}
                Some(_) => found.push(format!("{} uses {other}, which does not stand below", inside.display())),
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

#[test]
fn no_module_uses_what_stands_above_it() {
    for (name, layers) in [("engine", ENGINE), ("abi", ABI), ("cluster", CLUSTER), ("group", GROUP)] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        assert_eq!(climbing(&source, layers), Vec::<String>::new(), "in {name}");
    }
}

#[test]
fn a_use_that_climbs_is_found() {
    let code = code(
        "use crate::error::Error;\n// crate::client::Client\nfn f() { crate::session::all(); my_crate::x(); }\n#[cfg(test)]\nmod tests {\nuse crate::client;\n}",
    );
    assert_eq!(used(&code), ["error", "session"]);
}

/// Client and cluster are not to agree on the same mistake.
#[test]
fn the_cluster_uses_nothing_of_the_client() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/Cargo.toml");
    let text = fs::read_to_string(manifest).unwrap();
    let dependencies = text.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    assert!(!dependencies.contains("fluvio-cffi-"), "{dependencies}");
}
