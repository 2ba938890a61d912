//! What rates and budgets take of requests, and what they don't.

use super::*;

fn put(engine: &Engine, policies: Vec<PolicySource>) {
    engine.replace(&org(policies), &[Arc::new(project(Vec::new()))]);
}

#[test]
fn a_rate_goes_on_while_its_policy_cannot_be_understood() {
    let rate = |applies_to: Value| {
        let mut policy = policy(1, "usage", json!({"max_requests_per_minute": 1}));
        policy.applies_to = applies_to;
        policy
    };
    let engine = engine();
    put(&engine, vec![rate(json!({}))]);
    drop(admit(&engine, &caller(OWNER), &json!({})).unwrap());
    for _ in 0..2 {
        put(&engine, vec![rate(json!({"users": "nobody"}))]);
        let denial = admit(&engine, &caller(OWNER), &json!({})).unwrap_err();
        assert_eq!(denial.reason, Reason::RateLimited);
    }
}

#[test]
fn counting_tokens_teaches_nothing_about_answers() {
    let engine = engine();
    put(
        &engine,
        vec![policy(
            1,
            "usage",
            json!({"max_output_tokens_per_day": 1_000}),
        )],
    );
    let prices = &PriceBook::embedded().unwrap();
    for _ in 0..200 {
        let counted = with_request(&json!({}), |request| {
            let request = Request {
                endpoint: Endpoint::CountTokens,
                ..*request
            };
            engine
                .admit(&caller(OWNER), &request, prices, now())
                .unwrap()
        });
        engine.settle(
            counted,
            &Spend {
                good: true,
                ..used(0, 0)
            },
        );
    }
    let admitted = admit(&engine, &caller(OWNER), &json!({})).unwrap();
    assert_eq!(admitted.notes.left.output_tokens.unwrap().remaining, 500);
}
