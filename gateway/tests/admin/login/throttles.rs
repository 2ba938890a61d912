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

#[tokio::test]
async fn a_session_just_made_is_no_guess() {
    let stage = behind_a_proxy().await;
    member(&stage, "ann@new.example", "viewer").await;
    let mut refused = 0;
    while refused < 3 {
        let guess = stage.client("mw_ak_x").with("x-forwarded-for", "10.0.0.9");
        let answer = guess.get(&at("whoami")).await;
        refused += u8::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    let first = attempt_from(&stage, "10.0.0.9", &with_password("ann@new.example")).await;
    let session = first.json();
    // None of what came back meanwhile is left for it.
    let mut refused = 0;
    while refused < 3 {
        let guess = stage.client("mw_ak_x").with("x-forwarded-for", "10.0.0.9");
        let answer = guess.get(&at("whoami")).await;
        refused += u8::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    let ann = stage.client(session["token"].as_str().unwrap());
    get(&ann.with("x-forwarded-for", "10.0.0.9"), "whoami").await;
}

#[tokio::test]
async fn who_has_the_password_guesses_ten_codes_from_wherever() {
    let stage = behind_a_proxy().await;
    for email in ["ann@new.example", "bob@new.example"] {
        member(&stage, email, "viewer").await;
    }
    let (_, ann) = log_in(&stage, &with_password("ann@new.example")).await;
    let (_, codes) = Authenticator::enable(&stage, &ann).await;
    for number in 0..12 {
        let from = format!("10.0.{number}.1");
        let answer = attempt_from(&stage, &from, &with_code("ann@new.example", "00000x")).await;
        let expected = if number < 10 { failed() } else { throttled() };
        assert_eq!(told(&answer), expected, "{number}");
    }
    let body = with_code("ann@new.example", &codes[0]);
    let right = attempt_from(&stage, "10.0.99.1", &body).await;
    assert_eq!(told(&right), throttled());
    let wait: u64 = right.header("retry-after").parse().unwrap();
    assert!((500..=600).contains(&wait), "{wait}");
    let written =
        "SELECT count(*) FROM audit_logs WHERE changes->>'error_code' = 'login_throttled'";
    assert_eq!(count(&stage, written).await, 3);

    // The same of a code that is to be confirmed, and of another user.
    let (_, bob) = log_in(&stage, &with_password("bob@new.example")).await;
    post(&bob, "mfa/totp", json!({"password": PASSWORD})).await;
    for number in 0..12 {
        let code = json!({"code": "00000x"});
        let answer = bob.post(&at("mfa/totp/confirm"), &code).await;
        let expected = if number < 10 {
            refused(StatusCode::BAD_REQUEST, "invalid")
        } else {
            throttled()
        };
        assert_eq!(told(&answer), expected, "{number}");
    }
}

#[tokio::test]
async fn strangers_keep_nobody_from_their_own_password_who_has_a_session() {
    let stage = behind_a_proxy().await;
    member(&stage, "ann@new.example", "viewer").await;
    let first = attempt_from(&stage, "10.0.0.1", &with_password("ann@new.example")).await;
    let ann = stage.client(first.json()["token"].as_str().unwrap());
    // At home, and from everywhere else: there is nothing left of either, nor of the address.
    for from in ["10.0.0.1", "10.0.0.2"] {
        let guess = async || told(&attempt_from(&stage, from, &wrong("ann@new.example")).await);
        let mut refused = 0;
        while refused < 3 {
            refused += u8::from(guess().await == throttled());
        }
    }
    for number in 0..60 {
        attempt_from(&stage, "10.0.0.1", &wrong(&format!("{number}@new.example"))).await;
    }
    let at_home = ann.with("x-forwarded-for", "10.0.0.1");
    let body = json!({"current_password": PASSWORD, "new_password": "another good password"});
    post(&at_home, "password", body).await;
    let body = json!({"password": "another good password"});
    post(&at_home, "mfa/totp", body).await;
    // What is tried with a session is not for ever either.
    let wrong = json!({"password": "not the password"});
    let mut refused = 0;
    for _ in 0..25 {
        let answer = at_home.post(&at("mfa/totp"), &wrong).await;
        refused += u8::from(told(&answer) == throttled());
    }
    assert!((5..=8).contains(&refused), "{refused}");
}

#[tokio::test]
async fn who_guesses_invitations_is_throttled_before_the_database_is_asked() {
    let stage = behind_a_proxy().await;
    let invited = json!({"email": "ann@new.example", "role": "viewer"});
    let invited = post(&stage.installation, &members(&stage), invited).await;
    let accept = async |from: &str, token: &str| {
        let client = stage.client("").with("x-forwarded-for", from);
        let body = json!({"token": token, "password": PASSWORD});
        client.post(&at("invitations/accept"), &body).await
    };
    let unknown = format!("mw_iv_{}", "x".repeat(43));
    let mut refused = 0;
    for _ in 0..70 {
        let answer = accept("10.0.0.1", &unknown).await;
        refused += u8::from(told(&answer) == throttled());
    }
    assert!((5..=10).contains(&refused), "{refused}");
    let token = invited["invitation_token"].as_str().unwrap();
    let accepted = accept("10.0.0.2", token).await;
    assert_eq!(accepted.status, StatusCode::OK, "{accepted:?}");
}
