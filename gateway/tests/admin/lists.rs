//! Lists, page by page.

use http::StatusCode;
use serde_json::Value;

use crate::stage::{Stage, at, delete, get, post, project};

fn ids(page: &Value) -> Vec<String> {
    let data = page["data"].as_array().unwrap().iter();
    data.map(|item| item["slug"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn pages_neither_repeat_nor_hide_whatever_comes_and_goes_meanwhile() {
    let stage = Stage::new().await;
    let api = stage.of_tenant("admin").await;
    for number in 0..7 {
        post(&api, "projects", project(&format!("p{number}"))).await;
    }
    let first = get(&api, "projects?limit=3").await;
    assert_eq!(ids(&first), ["p6", "p5", "p4"]);
    assert_eq!(first["has_more"], true);
    assert_eq!(first["last_id"], first["data"][2]["id"]);
    post(&api, "projects", project("late")).await;
    let after = format!(
        "projects?limit=3&after_id={}",
        first["last_id"].as_str().unwrap()
    );
    let second = get(&api, &after).await;
    assert_eq!(ids(&second), ["p3", "p2", "p1"]);
    let last = format!(
        "projects?limit=3&after_id={}",
        second["last_id"].as_str().unwrap()
    );
    let third = get(&api, &last).await;
    // The scene's own is the oldest.
    assert_eq!(ids(&third), ["p0", "test"]);
    assert_eq!(third["has_more"], false);

    // And back, beside the one that came.
    let before = format!(
        "projects?limit=3&before_id={}",
        second["first_id"].as_str().unwrap()
    );
    let back = get(&api, &before).await;
    assert_eq!(ids(&back), ["p6", "p5", "p4"]);
    assert_eq!(back["has_more"], true, "the late one");
    let before = format!("projects?before_id={}", back["first_id"].as_str().unwrap());
    assert_eq!(ids(&get(&api, &before).await), ["late"]);

    let none = get(&api, "projects?status=paused").await;
    assert_eq!((ids(&none), &none["first_id"]), (Vec::new(), &Value::Null));
    assert_eq!(ids(&get(&api, "projects?slug=p3").await), ["p3"]);
    let path = format!("projects/{}", first["data"][0]["id"].as_str().unwrap());
    assert_eq!(delete(&api, &path).await.status, StatusCode::OK);
    assert_eq!(
        ids(&get(&api, "projects?slug=p6").await),
        Vec::<String>::new()
    );
    // Whoever pages goes on behind it all the same.
    let id = first["data"][0]["id"].as_str().unwrap();
    let behind = get(
        &api,
        &format!("projects?limit=2&status=active&after_id={id}"),
    )
    .await;
    assert_eq!(ids(&behind), ["p5", "p4"]);
}

#[tokio::test]
async fn what_is_no_part_of_a_list_is_said() {
    let stage = Stage::new().await;
    let api = &stage.installation;
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=-1",
        "after_id=1",
        "after_id=00000000-0000-0000-0000-000000000000",
        "after_id=00000000-0000-0000-0000-000000000000&before_id=00000000-0000-0000-0000-000000000000",
        "status=gone",
        "slug=%00",
        "unknown=1",
    ] {
        let answer = api.get(&at(&format!("projects?{query}"))).await;
        assert_eq!(
            answer.status,
            StatusCode::BAD_REQUEST,
            "{query}: {answer:?}"
        );
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
}
