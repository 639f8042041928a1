//! The profile file: the official crate reads what we write, and we read what it writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use fluvio::config::{ConfigFile, TlsCerts, TlsConfig, TlsPaths, TlsPolicy};
use fluvio_cffi_engine::{ClusterConfig, Identity, Pem, Profiles, Tls, Verified};

fn path(text: &str) -> Pem {
    Pem::Path(text.into())
}

fn text(text: &str) -> Pem {
    Pem::Text(text.to_owned())
}

const CERT: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";

/// Every kind of TLS, as we say it and as the official client does.
fn kinds() -> Vec<(&'static str, Tls, TlsPolicy)> {
    let verified = |domain: Option<&str>, ca, identity: Option<(Pem, Pem)>| {
        let identity = identity.map(|(cert, key)| Identity { cert, key });
        Tls::Verified(Verified { domain: domain.map(str::to_owned), ca, identity })
    };
    let files = |domain: &str, ca: &str, cert: &str, key: &str| {
        let (domain, ca_cert, cert, key) = (domain.to_owned(), ca.into(), cert.into(), key.into());
        TlsPolicy::Verified(TlsConfig::Files(TlsPaths { domain, key, cert, ca_cert }))
    };
    vec![
        ("plain", Tls::Disabled, TlsPolicy::Disabled),
        ("anonymous", Tls::Anonymous, TlsPolicy::Anonymous),
        (
            "files",
            verified(Some("fluvio.local"), Some(path("/c/ca")), Some((path("/c/cert"), path("/c/key")))),
            files("fluvio.local", "/c/ca", "/c/cert", "/c/key"),
        ),
        (
            "inline",
            verified(Some("fluvio.local"), Some(text(CERT)), Some((text(CERT), text(KEY)))),
            TlsPolicy::Verified(TlsConfig::Inline(TlsCerts {
                domain: "fluvio.local".to_owned(),
                key: KEY.to_owned(),
                cert: CERT.to_owned(),
                ca_cert: CERT.to_owned(),
            })),
        ),
        // What the official client cannot do it can still read.
        ("ca", verified(None, Some(path("/c/ca")), None), files("", "/c/ca", "", "")),
        ("system", verified(None, None, None), files("", "", "", "")),
    ]
}

fn ours(file: &Path) -> Profiles {
    Profiles::at(Some(file)).unwrap()
}

fn official(file: &Path) -> ConfigFile {
    ConfigFile::load(Some(file.to_str().unwrap().to_owned())).unwrap()
}

#[test]
fn the_official_client_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep").join("config");
    for (name, tls, _) in kinds() {
        let config = ClusterConfig { endpoint: format!("{name}:9003"), tls, use_spu_local_address: name == "ca" };
        ours(&file).add(name, &config, false, false).unwrap();
    }
    ours(&file).switch("inline").unwrap();
    let read = official(&file);
    assert_eq!(read.config().version(), "2.0");
    assert_eq!(read.config().current_profile_name(), Some("inline"));
    for (name, _, policy) in kinds() {
        let cluster = read.config().cluster_with_profile(name).unwrap();
        assert_eq!(cluster.tls, policy, "{name}");
        assert_eq!(cluster.endpoint, format!("{name}:9003"));
        assert_eq!(cluster.use_spu_local_address, name == "ca");
    }

    ours(&file).rename("inline", "text").unwrap();
    ours(&file).delete("files").unwrap();
    let read = official(&file);
    assert_eq!(read.config().current_profile_name(), Some("text"));
    assert_eq!(read.config().current_cluster().unwrap().endpoint, "inline:9003");
    assert!(read.config().profile("files").is_none() && read.config().cluster("files").is_none());
}

#[test]
fn we_read_what_the_official_client_writes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, "version = \"2.0\"\n[profile]\n[cluster]\n").unwrap();
    for (name, _, policy) in kinds() {
        official(&file).add_or_replace_profile(name, &format!("{name}:9003"), &policy).unwrap();
    }
    let (current, profiles) = ours(&file).list().unwrap();
    assert_eq!(current.as_deref(), Some("system"));
    assert_eq!(profiles.len(), kinds().len());
    for (name, tls, _) in kinds() {
        let config = ours(&file).load(Some(name)).unwrap();
        assert_eq!(config, ClusterConfig { endpoint: format!("{name}:9003"), tls, use_spu_local_address: false });
    }
    assert_eq!(ours(&file).load(None).unwrap().endpoint, "system:9003");

    // And edit it further, to and fro.
    ours(&file).add("more", &ours(&file).load(Some("inline")).unwrap(), false, true).unwrap();
    official(&file).add_or_replace_profile("last", "last:9003", &TlsPolicy::Disabled).unwrap();
    assert_eq!(ours(&file).list().unwrap().1.len(), kinds().len() + 2);
}

/// Every way in which TOML writes the two tables and what is in them.
#[test]
fn however_the_tables_are_written() {
    let profiles =
        ["[profile.a]\ncluster = \"a\"\n", "[profile]\na = { cluster = \"a\" }\n", "[profile]\na.cluster = \"a\"\n"];
    let clusters = [
        "[cluster.a]\nendpoint = \"x:1\"\ntls = { tls_policy = \"anonymous\" }\n",
        "[cluster]\na = { endpoint = \"x:1\", tls = { tls_policy = \"anonymous\" } }\n",
        "[cluster]\na.endpoint = \"x:1\"\na.tls.tls_policy = \"anonymous\"\n",
    ];
    // These have to come before any header.
    let first_profiles = ["", "profile = { a = { cluster = \"a\" } }\n", "profile.a.cluster = \"a\"\n"];
    let first_clusters = [
        "",
        "cluster = { a = { endpoint = \"x:1\", tls = { tls_policy = \"anonymous\" } } }\n",
        "cluster.a = { endpoint = \"x:1\", tls = { tls_policy = \"anonymous\" } }\n",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let config = |endpoint: &str, tls| {
        let endpoint = endpoint.to_owned();
        ClusterConfig { endpoint, tls, use_spu_local_address: true }
    };
    for (first_profile, profile) in first_profiles.iter().flat_map(|first| profiles.map(|later| (*first, later))) {
        for (first_cluster, cluster) in first_clusters.iter().flat_map(|first| clusters.map(|later| (*first, later))) {
            let later = |first: &str, later| if first.is_empty() { later } else { "" };
            let head = format!("version = \"2.0\"\ncurrent_profile = \"a\"\n{first_profile}{first_cluster}");
            let text = head + later(first_profile, profile) + later(first_cluster, cluster);
            std::fs::write(&file, &text).unwrap();
            for (name, tls, _) in kinds() {
                ours(&file).add(name, &config("new:9003", tls), false, false).unwrap();
            }
            ours(&file).add("a", &config("other:9003", Tls::Disabled), true, false).unwrap();
            ours(&file).add("name with.dots", &config("dots:9003", Tls::Disabled), false, false).unwrap();
            ours(&file).rename("plain", "renamed").unwrap();
            ours(&file).delete("anonymous").unwrap();
            ours(&file).switch("ca").unwrap();
            let read = official(&file);
            for (name, _, policy) in kinds() {
                let name = if name == "plain" { "renamed" } else { name };
                let cluster = read.config().cluster_with_profile(name);
                match name {
                    "anonymous" => assert!(cluster.is_none(), "{text}"),
                    _ => assert_eq!(cluster.map(|it| (&it.tls, &*it.endpoint)), Some((&policy, "new:9003")), "{text}"),
                }
            }
            let other = read.config().cluster_with_profile("a").unwrap();
            assert_eq!((&other.tls, &*other.endpoint), (&TlsPolicy::Disabled, "other:9003"));
            assert_eq!(read.config().cluster_with_profile("name with.dots").unwrap().endpoint, "dots:9003");
            assert_eq!(read.config().current_profile_name(), Some("ca"));
        }
    }
}
