//! How the API is served: over TLS if so configured, and with a page to read.

use http::StatusCode;
use testkit::{Certificate, Client, Scene};
use tokio::net::TcpStream;

use crate::stage::{Stage, admin_key, at};

#[tokio::test]
async fn over_tls_there_is_no_plain_text_and_a_silent_handshake_holds_up_nobody() {
    let certificate = Certificate::for_loopback();
    let file = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let stage = Stage::with(Scene::new().await, |gateway| {
        gateway
            .env("MINDWEAVE_ADMIN_TLS_CERT", &file(certificate.cert_file()))
            .env("MINDWEAVE_ADMIN_TLS_KEY", &file(certificate.key_file()))
    })
    .await;
    let url = stage.gateway.ready_text("admin_url").to_owned();
    let plain = url.replace("https://", "http://");
    assert_ne!(url, plain);
    let key = admin_key(&stage.scene, None, None, "owner").await;

    let silent = TcpStream::connect(plain.trim_start_matches("http://"))
        .await
        .unwrap();
    let secured = Client::tls(&url, &key, &certificate, false);
    for _ in 0..3 {
        let answer = secured.get(&at("whoami")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    drop(silent);

    let path = at("whoami");
    let unsecured = Client::new(&plain, &key)
        .begin(http::Method::GET, &path, "")
        .await;
    assert!(unsecured.is_err(), "{unsecured:?}");
    // A stranger to the certificate doesn't go on.
    let wary = Client::new(&url, &key)
        .begin(http::Method::GET, &path, "")
        .await;
    assert!(wary.is_err(), "{wary:?}");
}

#[tokio::test]
async fn the_reference_page_is_whole_and_takes_nothing_from_elsewhere() {
    let stage = Stage::new().await;
    let anybody = stage.client("");
    let answer = anybody.get(&at("reference")).await;
    assert!(answer.status.is_redirection(), "{answer:?}");
    let page = anybody.get(answer.header("location")).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    let mut parts = 0;
    for attribute in ["src=\"", "href=\""] {
        for part in html.split(attribute).skip(1) {
            let link = part.split('"').next().unwrap();
            let name = link.strip_prefix("./").unwrap_or(link);
            assert!(!name.contains(':') && !name.starts_with('/'), "{link}");
            let found = anybody.get(&at(&format!("reference/{name}"))).await;
            assert_eq!(found.status, StatusCode::OK, "{link}");
            parts += 1;
        }
    }
    assert!(parts >= 5, "{html}");
    // Scripts in the page itself would not run.
    assert!(!html.contains("<script>"), "{html}");
    let start = anybody.get(&at("reference/swagger-initializer.js")).await;
    let start = String::from_utf8(start.body.to_vec()).unwrap();
    assert!(start.contains("/admin/v1/openapi.json"), "{start}");
    assert!(start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert!(
        !start.contains("http://") && !start.contains("https://"),
        "{start}"
    );
}
