//! How often somebody may try.

use futures_util::future::join_all;
use testkit::gateway::Builder;

use super::*;

/// A gateway that believes 127.0.0.1 where callers come from.
async fn behind_a_proxy() -> Stage {
    let set = |gateway: Builder| gateway.env("MINDWEAVE_ADMIN_TRUSTED_PROXIES", "127.0.0.1");
    Stage::with(testkit::Scene::new().await, set).await
}

async fn attempt_from(stage: &Stage, address: &str, body: &Value) -> Answer {
    let client = stage.client("").with("x-forwarded-for", address);
    client.post(&at("login"), body).await
}

fn wrong(email: &str) -> Value {
    json!({"email": email, "password": "not the password"})
}

fn throttled() -> (StatusCode, String) {
    refused(StatusCode::TOO_MANY_REQUESTS, "login_throttled")
}

#[tokio::test]
async fn who_uses_up_a_users_attempts_keeps_nobody_out_who_comes_from_home() {
    let stage = behind_a_proxy().await;
    member(&stage, "ann@new.example", "viewer").await;
    let ann = with_password("ann@new.example");
    let first = attempt_from(&stage, "10.0.0.1", &ann).await;
    assert_eq!(first.status, StatusCode::CREATED, "{first:?}");
    // Everywhere else, each time: those that are left are for whoever comes first, and there is no user to be told from one.
    for email in ["ann@new.example", "nobody@new.example"] {
        let mut refusals = 0;
        for number in 0..25 {
            let from = format!("2001:db8:{number}::1");
            let answer = attempt_from(&stage, &from, &wrong(email)).await;
            if told(&answer) == throttled() {
                let wait: u64 = answer.header("retry-after").parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
                refusals += 1;
            } else {
                assert_eq!(told(&answer), failed());
            }
        }
        assert!((4..=6).contains(&refusals), "{email}: {refusals}");
    }
    let elsewhere = attempt_from(&stage, "10.0.0.2", &ann).await;
    assert_eq!(told(&elsewhere), throttled());
    let at_home = attempt_from(&stage, "10.0.0.1", &ann).await;
    assert_eq!(at_home.status, StatusCode::CREATED, "{at_home:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_too_often_is_throttled_until_it_has_waited() {
    let stage = behind_a_proxy().await;
    member(&stage, "ann@new.example", "viewer").await;
    let guess = |number: usize| {
        let body = wrong(&format!("user-{number}@new.example"));
        let client = stage.client("").with("x-forwarded-for", "2001:db8::1");
        async move { client.post(&at("login"), &body).await }
    };
    let mut ended = Vec::new();
    for round in 0..5 {
        let guesses = (0..15).map(|number| guess(round * 15 + number));
        ended.extend(join_all(guesses).await.iter().map(told));
    }
    let refusals = ended.iter().filter(|told| **told == throttled()).count();
    assert!((1..=15).contains(&refusals), "{refusals} of {ended:?}");
    // One may have come back by now.
    let mut same_net = Vec::new();
    for _ in 0..3 {
        let answer = attempt_from(&stage, "2001:db8::ffff:1", &wrong("a@new.example")).await;
        same_net.push(told(&answer));
    }
    assert!(same_net.contains(&throttled()), "{same_net:?}");
    let other_net =
        attempt_from(&stage, "2001:db8:0:1::1", &with_password("ann@new.example")).await;
    assert_eq!(other_net.status, StatusCode::CREATED, "{other_net:?}");
    // No success is needed, and asking in vain costs nothing.
    testkit::eventually("the address may try again", || async {
        let answer = attempt_from(&stage, "2001:db8::1", &wrong("b@new.example")).await;
        (told(&answer) == failed()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_guesses_keys_is_throttled_and_who_has_one_goes_on() {
    let stage = behind_a_proxy().await;
    member(&stage, "ann@new.example", "viewer").await;
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let at_address = |client: &Client| client.clone().with("x-forwarded-for", "10.0.0.9");
    get(&at_address(&ann), "whoami").await;
    let mut throttled = 0;
    for number in 0..200 {
        let prefix = if number % 2 == 0 { "mw_ak_" } else { "mw_as_" };
        let guess = at_address(&stage.client(&format!("{prefix}{number}")));
        let answer = guess.get(&at("whoami")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.error_code(), "key_throttled");
            assert!(!answer.header("retry-after").is_empty());
            throttled += 1;
        } else {
            assert_eq!(answer.error_code(), "key_unknown");
        }
    }
    assert!(throttled > 50, "{throttled}");
    get(&at_address(&ann), "whoami").await;
    let elsewhere = stage.client("mw_ak_x").get(&at("whoami")).await;
    assert_eq!(elsewhere.error_code(), "key_unknown");
    testkit::eventually("the address may try again", || async {
        let guess = at_address(&stage.client("mw_ak_later"));
        let answer = guess.get(&at("whoami")).await;
        (answer.error_code() == "key_unknown").then_some(())
    })
    .await;
}
