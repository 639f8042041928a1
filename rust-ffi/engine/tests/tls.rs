//! Client keys of every kind that servers accept. What else there is of TLS is tested from Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::time::Duration;

use fluvio_cffi_cluster::{Cluster, Config, Tls as Serve};
use fluvio_cffi_engine::{Client, ClientOptions, Identity, Pem, Tls, Verified};
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;

/// An RSA key as OpenSSL writes it on request: PKCS#1. Made for this test, known to everybody.
const PKCS1: &str = include_str!("support/rsa.key");

/// The same key as PKCS#8.
fn pkcs8() -> KeyPair {
    let key = PrivatePkcs1KeyDer::from_pem_slice(PKCS1.as_bytes()).unwrap();
    let key = key.secret_pkcs1_der();
    let sized = |tag: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], body].concat()
    };
    // Version 0; rsaEncryption, NULL; the key.
    let head = [2, 1, 0, 0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let der = sized(0x30, &[&head[..], &sized(4, key)].concat());
    KeyPair::try_from(der).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rsa_keys_in_both_formats() {
    let cluster = Cluster::start(Config { tls: Serve::Mutual, ..Config::default() }).await.unwrap();
    let read = |name: &str| fs::read_to_string(cluster.certificates().join(name)).unwrap();

    let mut authority = CertificateParams::default();
    authority.distinguished_name = DistinguishedName::new();
    authority.distinguished_name.push(DnType::OrganizationName, "fluvio_cffi");
    authority.distinguished_name.push(DnType::CommonName, "fluvio-cffi-cluster CA");
    let issuer = Issuer::new(authority, KeyPair::from_pem(&read("ca.key")).unwrap());
    let key = pkcs8();
    let certificate = CertificateParams::default().signed_by(&key, &issuer).unwrap().pem();

    for key in [PKCS1.to_owned(), key.serialize_pem()] {
        let identity = Identity { cert: Pem::Text(certificate.clone()), key: Pem::Text(key) };
        let tls = Verified { domain: None, ca: Some(Pem::Text(read("ca.crt"))), identity: Some(identity) };
        let options = ClientOptions {
            endpoint: Some(cluster.endpoint().to_string()),
            profile: None,
            client_id: None,
            use_spu_local_address: None,
            tls: Some(Tls::Verified(tls)),
            connect_timeout: None,
            wait: None,
            request_timeout: Duration::from_secs(10),
            admin_timeout: Duration::from_secs(10),
            probe_interval: Duration::from_secs(10),
            owner: 0,
        };
        let client = Client::connect(options).await.unwrap();
        assert!(!client.platform_version().is_empty());
        client.close().await;
    }
    cluster.shutdown().await;
}
