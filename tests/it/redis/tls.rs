use std::{fs, path::Path, process::Command};

use redis::{Client, TlsCertificates};
use tower_idempotency::{RedisStore, store::ConnectErrorKind};

use super::claims::{acquire, assert_acquired, assert_record, complete, fresh, rival};
use crate::support::{
    redis::{RedisServer, free_port, new_directory},
    redis_store::patient,
};

/// Makes a certificate for 127.0.0.1 that is its own authority.
fn certificate(directory: &Path) {
    let run = Command::new("openssl")
        .current_dir(directory)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-keyout", "key", "-out", "crt"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .output()
        .expect("openssl is installed");
    assert!(run.status.success(), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_go_over_tls_to_a_server_that_proves_who_it_is() {
    let directory = new_directory();
    certificate(&directory);
    let path = |name: &str| directory.join(name).display().to_string();
    let port = free_port();
    let server = RedisServer::with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("crt"),
        "--tls-key-file",
        &path("key"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}");

    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(fs::read(directory.join("crt")).unwrap()),
    };
    let client = Client::build_with_tls(url.as_str(), certificates).unwrap();
    let store = patient().connect_client(client).await.unwrap();
    let claim = fresh();
    assert_acquired(acquire(&store, &claim).await, 1);
    complete(&store, &claim, b"r").await.unwrap();
    assert_record(acquire(&store, &rival(&claim)).await, b"r");

    // Nobody that we trust says who this is.
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ConnectErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    drop(server);
    fs::remove_dir_all(directory).unwrap();
}
