use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::TokenCounts;

/// 2026-11-22
const NOW: Timestamp = Timestamp {
    unix_micros: 1_795_305_600_000_000,
};
const DAY: i64 = 86_400_000_000;

fn book() -> PriceBook {
    PriceBook::embedded().unwrap()
}

/// Usage as the meter would read it from a usage object.
fn usage(raw: &Value) -> Usage {
    let count = |key: &str| raw[key].as_u64().unwrap_or(0);
    let tokens = TokenCounts {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_input_tokens"),
        cache_write: count("cache_creation_input_tokens"),
        cache_write_1h: raw["cache_creation"]["ephemeral_1h_input_tokens"]
            .as_u64()
            .unwrap_or(0),
    };
    let mut usage = Usage {
        tokens,
        web_search_requests: raw["server_tool_use"]["web_search_requests"]
            .as_u64()
            .unwrap_or(0),
        service_tier: raw["service_tier"].as_str().map(str::to_owned),
        raw: raw.as_object().unwrap().clone().into(),
    };
    usage.tokens = usage.tokens_of_iterations().unwrap_or(tokens);
    usage
}

fn cost_at(model: &str, raw: &Value, time: Timestamp) -> Cost {
    book().price(&Charge {
        model,
        usage: &usage(raw),
        time,
        free: None,
        span: Span::Request,
    })
}

/// In cents; fails unless all of it has a price.
fn cents(model: &str, raw: &Value) -> String {
    let cost = cost_at(model, raw, NOW);
    assert!(matches!(cost.basis, Basis::Priced(_)), "{cost:?}");
    cost.amount.cents().to_string()
}

#[test]
fn every_category_has_its_own_price() {
    for (raw, expected) in [
        (json!({"input_tokens": 1_000_000}), "300"),
        (json!({"output_tokens": 1_000_000}), "1500"),
        (json!({"cache_read_input_tokens": 1_000_000}), "30"),
        (json!({"cache_creation_input_tokens": 1_000_000}), "375"),
        (
            json!({"cache_creation_input_tokens": 1_000_000,
                   "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000_000}}),
            "600",
        ),
        // The stream's end raised the total above the split of its start: five minutes.
        (
            json!({"cache_creation_input_tokens": 3_000_000,
                   "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000_000}}),
            "1350",
        ),
        (
            json!({"input_tokens": 1, "server_tool_use": {"web_search_requests": 3}}),
            "3.0003",
        ),
        (json!({"input_tokens": 1}), "0.0003"),
    ] {
        assert_eq!(cents("claude-sonnet-4-5", &raw), expected, "{raw}");
    }
}

#[test]
fn multipliers_multiply_tokens_and_not_searches() {
    let raw = |tier, geo, speed| {
        json!({"input_tokens": 1_000_000, "cache_read_input_tokens": 1_000_000, "service_tier": tier,
               "inference_geo": geo, "speed": speed, "server_tool_use": {"web_search_requests": 1}})
    };
    for (model, raw, expected) in [
        (
            "claude-opus-5-5",
            raw("standard", "global", "standard"),
            "421",
        ),
        (
            "claude-opus-5-5",
            raw("standard", "not_available", "fast"),
            "841",
        ),
        ("claude-opus-5-5", raw("standard", "us", "standard"), "463"),
        ("claude-opus-5-5", raw("standard", "us", "fast"), "925"),
        ("claude-opus-5-5", raw("batch", "us", "standard"), "232"),
        ("claude-haiku-4-5", raw("batch", "global", "standard"), "56"),
        // The smallest price there is, halved and raised, is still exact.
        (
            "claude-haiku-5-5",
            json!({"cache_read_input_tokens": 1, "service_tier": "batch", "inference_geo": "us"}),
            "0.00000055",
        ),
    ] {
        assert_eq!(cents(model, &raw), expected, "{model} {raw}");
    }
}

#[test]
fn a_long_prompt_raises_the_price_of_every_token() {
    let raw = |input| {
        json!({"input_tokens": input, "cache_read_input_tokens": 40_000,
                             "cache_creation_input_tokens": 20_000, "output_tokens": 1_000})
    };
    assert_eq!(cents("claude-haiku-5-5", &raw(40_000)), "0.74");
    assert_eq!(cents("claude-haiku-5-5", &raw(40_001)), "3.70005");
}

#[test]
fn prices_hold_from_their_day_on() {
    // 2026-10-07T00:00:00Z
    let change = 1_791_331_200_000_000;
    let raw = json!({"cache_read_input_tokens": 1_000_000});
    for (unix_micros, expected) in [
        (change - 1, 20),
        (change, 10),
        (change + 40 * DAY, 10),
        (0, 20),
    ] {
        let cost = cost_at("claude-sonnet-5-5", &raw, Timestamp { unix_micros });
        assert_eq!(
            cost.amount,
            Picodollars(expected * Picodollars::CENT.0),
            "{unix_micros}"
        );
    }
}

#[test]
fn iterations_are_priced_each_at_its_own_model() {
    let message =
        |input, output| json!({"type": "message", "input_tokens": input, "output_tokens": output});
    let mut advisor = message(2_518, 22);
    advisor["type"] = json!("advisor_message");
    advisor["model"] = json!("claude-opus-4-8");
    let mut compaction = message(55_196, 125);
    compaction["type"] = json!("compaction");
    for (model, iterations, expected) in [
        (
            "claude-sonnet-5",
            json!([message(1_128, 110), advisor, message(1_262, 11)]),
            "1.913",
        ),
        (
            "claude-sonnet-4-6",
            json!([compaction, message(220, 8)]),
            "16.8243",
        ),
        ("claude-sonnet-4-6", json!([]), "0.03"),
    ] {
        let raw = json!({"input_tokens": 100, "output_tokens": 0, "iterations": iterations});
        assert_eq!(cents(model, &raw), expected, "{raw}");
    }
}

#[test]
fn speed_and_place_are_the_executors_and_not_the_advisors() {
    let turn = |kind, model| json!({"type": kind, "model": model, "input_tokens": 1_000_000, "output_tokens": 1});
    let raw = |advisor: Value| {
        json!({"speed": "fast", "inference_geo": "us",
        "iterations": [turn("message", "claude-opus-5-5"), advisor]})
    };
    let advisor = turn("advisor_message", "claude-opus-5");
    assert_eq!(cents("claude-opus-5-5", &raw(advisor.clone())), "1380.0069");
    let mut fast = advisor;
    fast["speed"] = json!("fast");
    assert_eq!(cents("claude-opus-5-5", &raw(fast)), "1880.0094");
}

#[test]
fn a_turn_declined_before_output_is_reported_and_not_billed() {
    let turn = |kind, model, output| json!({"type": kind, "model": model, "input_tokens": 1_000_000, "output_tokens": output});
    let fallback = turn("fallback_message", "claude-opus-4-8", 0);
    let cost = |declined: Value, others: Vec<Value>| {
        let iterations: Vec<_> = std::iter::once(declined).chain(others).collect();
        cents("claude-opus-4-8", &json!({"iterations": iterations}))
    };
    let declined = turn("message", "claude-fable-5", 0);
    assert_eq!(cost(declined.clone(), vec![fallback.clone()]), "500");
    // It said something before; or nobody took over.
    assert_eq!(
        cost(turn("message", "claude-fable-5", 1), vec![fallback]),
        "1500.005"
    );
    assert_eq!(cost(declined, vec![]), "1000");
}

#[test]
fn the_only_turn_that_does_not_split_its_cache_writes_had_the_rest_of_them() {
    let turn = |split: Option<u64>| {
        let mut turn = json!({"type": "message", "input_tokens": 0, "output_tokens": 1, "cache_creation_input_tokens": 1_000_000});
        if let Some(one_hour) = split {
            turn["cache_creation"] = json!({"ephemeral_1h_input_tokens": one_hour,
                                            "ephemeral_5m_input_tokens": 1_000_000 - one_hour});
        }
        turn
    };
    for (turns, expected) in [
        (vec![turn(None)], "600.0015"),
        (vec![turn(Some(1_000_000)), turn(None)], "975.003"),
        (vec![turn(None), turn(None)], "750.003"),
        (vec![turn(Some(0)), turn(Some(500_000))], "862.503"),
    ] {
        let raw = json!({"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1_000_000},
                         "iterations": turns});
        assert_eq!(cents("claude-sonnet-4-6", &raw), expected, "{raw}");
    }
}

#[test]
fn what_has_no_price_says_so() {
    let basis = |model, raw: Value| cost_at(model, &raw, NOW);
    let unpriced = |amount, reason| Cost {
        amount: Picodollars(amount),
        basis: Basis::Unpriced(reason),
    };
    let tokens = json!({"input_tokens": 1_000});
    assert_eq!(
        basis("gpt-4", tokens.clone()),
        unpriced(0, Unpriced::UnknownModel)
    );
    assert_eq!(
        basis("", tokens.clone()),
        unpriced(0, Unpriced::UnknownModel)
    );
    assert_eq!(basis("", json!({})), Cost::default());
    // What is known of it is in the amount.
    let searched = json!({"input_tokens": 5, "server_tool_use": {"web_search_requests": 1}});
    assert_eq!(
        basis("new", searched),
        unpriced(Picodollars::CENT.0, Unpriced::UnknownModel)
    );
    for (key, word) in [
        ("service_tier", "priority"),
        ("inference_geo", "mars"),
        ("speed", "ludicrous"),
    ] {
        let mut raw = tokens.clone();
        raw[key] = json!(word);
        assert_eq!(
            basis("claude-opus-5", raw),
            unpriced(5_000_000_000, Unpriced::UnknownMultiplier),
            "{word}"
        );
    }
    let much = json!({"input_tokens": u64::MAX, "output_tokens": 1});
    assert_eq!(
        basis("claude-opus-5", much),
        unpriced(25_000_000, Unpriced::Overflow)
    );
}

#[test]
fn what_is_free_costs_nothing_and_says_why() {
    let raw = usage(&json!({"input_tokens": 1_000}));
    for free in Free::ALL {
        let mut lines = 0;
        let charge = Charge {
            model: "claude-opus-5",
            usage: &raw,
            time: NOW,
            free: Some(free),
            span: Span::Request,
        };
        let cost = book().explain(&charge, |_| lines += 1);
        assert_eq!(
            (cost.amount, cost.basis),
            (Picodollars::ZERO, Basis::Free(free))
        );
        assert_eq!(lines, 1, "it can be explained all the same");
    }
}

#[test]
fn ids_aliases_and_dated_ids_find_the_model() {
    let book = book();
    for (name, id) in [
        ("claude-sonnet-4-5", Some("claude-sonnet-4-5")),
        ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
        ("claude-sonnet-4-5-20990101", Some("claude-sonnet-4-5")),
        ("claude-4-opus-20250514", Some("claude-opus-4-0")),
        ("claude-opus-4-20250514", Some("claude-opus-4-0")),
        ("claude-3-5-haiku-latest", Some("claude-3-5-haiku-20241022")),
        ("claude-3-haiku", Some("claude-3-haiku-20240307")),
        ("claude-3-haiku-20240307", Some("claude-3-haiku-20240307")),
        ("claude-sonnet", None),
        ("claude-sonnet-4-5-2025", None),
    ] {
        assert_eq!(book.model(name).map(Model::id), id, "{name}");
    }
    for label in crate::model::labels().filter(|label| *label != crate::model::OTHER) {
        assert!(
            book.model(label).is_some(),
            "{label} labels metrics and has no price"
        );
    }
}

#[test]
fn an_explanation_adds_up() {
    let raw = json!({"input_tokens": 7, "output_tokens": 9, "cache_read_input_tokens": 11, "service_tier": "batch",
                     "server_tool_use": {"web_search_requests": 2}});
    let (book, usage) = (book(), usage(&raw));
    let mut lines = Vec::new();
    let charge = Charge {
        model: "claude-haiku-5-5",
        usage: &usage,
        time: NOW,
        free: None,
        span: Span::Request,
    };
    let cost = book.explain(&charge, |line| lines.push(line));
    let sum: Picodollars = lines.iter().map(|line| line.amount).sum();
    assert_eq!(sum, cost.amount);
    let items: Vec<_> = lines
        .iter()
        .map(|line| (line.item.as_str(), line.count))
        .collect();
    assert_eq!(
        items,
        [
            ("input", 7),
            ("output", 9),
            ("cache_read", 11),
            ("web_search", 2)
        ]
    );
    assert_eq!(lines[0].multipliers, [5_000, 10_000, 10_000]);
    assert_eq!(lines[0].row.unwrap().model, "claude-haiku-5-5");
}

/// A book that is right, for spoiling.
fn small() -> Value {
    json!({"version": "1", "currency": "USD", "unit": "USD per 1,000,000 tokens", "web_search_per_1000": "10",
        "models": [{"id": "m", "aliases": ["n"], "prices": [
            {"input": "1", "output": "2", "cache_write_5m": "3", "cache_write_1h": "4", "cache_read": "0.000001",
             "long_prompt": {"above_tokens": 5, "input": "1", "output": "2", "cache_write_5m": "3",
                             "cache_write_1h": "4", "cache_read": "5"}}],
            "multipliers": {"speed": {"fast": "2"}}}]})
}

#[test]
fn a_book_that_is_wrong_says_where() {
    assert!(PriceBook::parse(&small().to_string()).is_ok());
    for (pointer, value, expected) in [
        (
            "/version",
            json!(""),
            "version is not a text of 1 to 64 characters",
        ),
        ("/currency", json!("EUR"), "currency is not \"USD\""),
        ("/unit", json!("USD per token"), "unit is not"),
        (
            "/web_search_per_1000",
            json!("ten"),
            "web_search_per_1000 is no price",
        ),
        (
            "/models/0/aliases/0",
            json!("m"),
            "models[0] has the name \"m\", which is taken already",
        ),
        (
            "/models/0/id",
            json!(""),
            "models[0] has an empty id or alias",
        ),
        ("/models/0/prices", json!([]), "models[0] has no prices"),
        (
            "/models/0/prices/0/input",
            json!("-1"),
            "models[0].prices[0].input is no price",
        ),
        (
            "/models/0/prices/0/input",
            json!("0.0000001"),
            "models[0].prices[0].input is no price",
        ),
        (
            "/models/0/prices/0/output",
            json!("1000001"),
            "models[0].prices[0].output is no price",
        ),
        (
            "/models/0/prices/0/long_prompt/cache_read",
            json!(""),
            "models[0].prices[0].long_prompt.cache_read is no price",
        ),
        (
            "/models/0/prices/0/from",
            json!("2026-02-30"),
            "models[0].prices[0].from is no day",
        ),
        (
            "/models/0/multipliers/speed/fast",
            json!("1.00001"),
            "models[0].multipliers.speed.fast is no multiplier",
        ),
        (
            "/models/0/multipliers/speed/fast",
            json!("101"),
            "models[0].multipliers.speed.fast is no multiplier",
        ),
        (
            "/models/0/multipliers/speed/fast",
            json!("0.5"),
            "isn't a whole number of picodollars",
        ),
        (
            "/models/0/prices/0/input",
            json!(1),
            "invalid type: integer `1`, expected a string",
        ),
        (
            "/models/0/prices/0/from",
            json!(true),
            "invalid type: boolean",
        ),
    ] {
        let mut book = small();
        match book.pointer_mut(pointer) {
            Some(place) => *place = value.clone(),
            None => book["models"][0]["prices"][0]["from"] = value.clone(),
        }
        let error = PriceBook::parse(&book.to_string()).unwrap_err().to_string();
        assert!(error.contains(expected), "{pointer} = {value}: {error}");
    }
    let mut book = small();
    book["models"][0]["discount"] = json!("all of it");
    let error = PriceBook::parse(&book.to_string()).unwrap_err().to_string();
    assert!(
        error.contains("unknown field `discount`") && error.contains("line 1 column"),
        "{error}"
    );
    let mut book = small();
    let again = book["models"][0]["prices"][0].clone();
    book["models"][0]["prices"]
        .as_array_mut()
        .unwrap()
        .push(again);
    let error = PriceBook::parse(&book.to_string()).unwrap_err().to_string();
    assert!(
        error.contains("models[0].prices[1] doesn't begin later"),
        "{error}"
    );
}

prop_compose! {
    fn any_tokens()(input in 0..3_000_000_u64, output in 0..200_000_u64, read in 0..3_000_000_u64,
                    write in 0..3_000_000_u64, part in 0..=100_u64) -> TokenCounts {
        TokenCounts { input, output, cache_read: read, cache_write: write, cache_write_1h: write * part / 100 }
    }
}

fn iteration(tokens: TokenCounts) -> Value {
    json!({"type": "message", "input_tokens": tokens.input, "output_tokens": tokens.output,
           "cache_read_input_tokens": tokens.cache_read, "cache_creation_input_tokens": tokens.cache_write,
           "cache_creation": {"ephemeral_1h_input_tokens": tokens.cache_write_1h,
                              "ephemeral_5m_input_tokens": tokens.cache_write - tokens.cache_write_1h}})
}

proptest! {
    #[test]
    fn more_of_anything_never_costs_less(tokens in any_tokens(), more in 1..500_000_u64, model in 0..27_usize) {
        let book = book();
        let model = crate::model::labels().nth(model).unwrap();
        let cost = |tokens| {
            let usage = Usage { tokens, ..Usage::default() };
            book.price(&Charge { model, usage: &usage, time: NOW, free: None, span: Span::Request }).amount
        };
        let before = cost(tokens);
        for raised in [
            TokenCounts { input: tokens.input + more, ..tokens },
            TokenCounts { output: tokens.output + more, ..tokens },
            TokenCounts { cache_read: tokens.cache_read + more, ..tokens },
            TokenCounts { cache_write: tokens.cache_write + more, ..tokens },
            TokenCounts { cache_write_1h: tokens.cache_write, ..tokens },
        ] {
            prop_assert!(cost(raised) >= before, "{raised:?} costs less than {tokens:?}");
        }
    }

    #[test]
    fn the_whole_costs_what_its_legs_cost(legs in prop::collection::vec(any_tokens(), 1..6)) {
        let all = |legs: &[TokenCounts]| {
            let iterations: Vec<_> = legs.iter().copied().map(iteration).collect();
            cost_at("claude-haiku-5-5", &json!({"iterations": iterations}), NOW).amount
        };
        let one_by_one = legs.iter().map(|leg| all(&[*leg])).sum::<Picodollars>();
        prop_assert_eq!(all(&legs), one_by_one);
    }
}

fn session(model: &str, raw: &Value, mixed_models: bool) -> Cost {
    book().price(&Charge {
        model,
        usage: &usage(raw),
        time: NOW,
        free: None,
        span: Span::Session { mixed_models },
    })
}

#[test]
fn a_session_pays_for_its_tokens_and_for_the_time_it_ran() {
    for (raw, expected) in [
        (json!({"active_seconds": 3600}), "8"),
        (
            json!({"active_seconds": 3600.02, "input_tokens": 1_000_000}),
            "208",
        ),
        // Whole units of 36 ms count.
        (json!({"active_seconds": 0.035}), "0"),
        (json!({"active_seconds": 0.036}), "0.00008"),
        (
            json!({"active_seconds": null, "server_tool_use": {"web_search_requests": 1}}),
            "1",
        ),
    ] {
        let cost = session("claude-sonnet-5", &raw, false);
        assert_eq!(cost.amount.cents().to_string(), expected, "{raw}");
        assert!(!matches!(cost.basis, Basis::Unpriced(_)), "{raw}: {cost:?}");
    }
    // In the answer to one request the same word means nothing.
    let raw = json!({"active_seconds": 3600});
    assert_eq!(
        cost_at("claude-sonnet-5", &raw, NOW).amount,
        Picodollars::ZERO
    );
}

#[test]
fn a_sum_says_what_the_book_cannot_price_of_it() {
    let raw = json!({"input_tokens": 1_000_000});
    for (model, mixed, expected) in [
        ("claude-sonnet-5", false, Basis::Priced("2026-11-22".into())),
        (
            "claude-sonnet-5",
            true,
            Basis::Unpriced(Unpriced::MixedModels),
        ),
        (
            "claude-haiku-5-5",
            false,
            Basis::Unpriced(Unpriced::PromptLengths),
        ),
        ("unheard-of", false, Basis::Unpriced(Unpriced::UnknownModel)),
    ] {
        assert_eq!(session(model, &raw, mixed).basis, expected, "{model}");
    }
}

#[test]
fn without_a_price_of_their_time_sessions_say_so() {
    let book = PriceBook::parse(
        &include_str!("prices.json").replace("\"session_per_hour\": \"0.08\",", ""),
    );
    let usage = usage(&json!({"active_seconds": 60}));
    let cost = book.unwrap().price(&Charge {
        model: "claude-sonnet-5",
        usage: &usage,
        time: NOW,
        free: None,
        span: Span::Session {
            mixed_models: false,
        },
    });
    assert_eq!(cost.basis, Basis::Unpriced(Unpriced::SessionTime));
}
