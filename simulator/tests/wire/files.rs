//! The life of a file.

use serde_json::json;

use crate::client::Running;

#[tokio::test]
async fn a_file_is_kept_listed_and_deleted() {
    let simulator = Running::start().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
    let mut request = simulator.request("POST", "/v1/files", body, &[]);
    let content_type = "multipart/form-data; boundary=b".parse().unwrap();
    request.headers_mut().insert("content-type", content_type);
    let file = simulator.send(request).await.json();
    assert_eq!(
        (&file["filename"], &file["size_bytes"]),
        (&json!("a.txt"), &json!(5))
    );
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());

    assert_eq!(simulator.get(&path).await.json(), file);
    assert_eq!(
        simulator.get("/v1/files").await.json()["data"],
        json!([file])
    );
    let content = simulator.get(&format!("{path}/content")).await;
    assert_eq!(content.header("content-type"), Some("text/plain"));
    assert_eq!(content.body(), b"hello");

    assert_eq!(simulator.delete(&path).await.json()["type"], "file_deleted");
    assert_eq!(simulator.get(&path).await.status, 404);
}
