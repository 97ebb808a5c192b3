//! Requests by chance, the same at every run.

use crate::requests::Asked;
use chrono::DateTime;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use std::time::Duration;

/// Makes requests of which about half are good.
pub(crate) fn requests(count: usize) -> Vec<Asked> {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let strategy = request();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("nothing is filtered").current()).collect()
}

fn request() -> impl Strategy<Value = Asked> {
    let rarely = |strategy: BoxedStrategy<String>| option::weighted(0.2, strategy);
    let times = || option::weighted(0.2, prop_oneof![9 => 946_600_000i64..4_102_500_000, 1 => -10i64..10_000_000_000]);
    let model = prop_oneof![
        4 => Just("fal-ai/flux/dev".to_owned()),
        2 => "[a-z0-9][a-z0-9._-]{0,6}(/[a-z0-9][a-z0-9_-]{0,6}){1,5}",
        1 => "[a-zA-Z0-9._/ -]{0,20}",
        1 => "\\PC{0,12}",
    ];
    (
        model,
        json(),
        option::weighted(0.3, -12i64..13),
        times(),
        times(),
        option::weighted(0.3, vec("[\\PC]{0,66}|[a-z]{1,9}|\\p{Cc}", 0..22)),
        rarely(json().boxed()),
        option::weighted(0.2, -1i64..103),
        option::weighted(0.2, ("[a-z]{0,70}|.{1,9}", 0u64..2_700_000)),
        option::weighted(0.2, "[ -~]{1,255}"),
    )
        .prop_map(|(model, input, priority, run_at, until, tags, metadata, attempts, unique, key)| {
            let time = |seconds: Option<i64>| DateTime::from_timestamp(seconds?, 250_000_000);
            Asked {
                model: Some(model),
                input: Some(input),
                priority,
                run_at: time(run_at),
                useful_until: time(until),
                tags,
                metadata,
                max_attempts: attempts,
                on_unknown: None,
                unique: unique.map(|(key, seconds)| (key, Duration::from_secs(seconds))),
                key,
            }
        })
}

/// JSON texts, mostly objects, in odd but valid writing.
fn json() -> impl Strategy<Value = String> {
    let space = || "[ \n]{0,2}";
    let name = || "[a-z]{1,5}|seed|num_images|image_size|\\\\u00[4-6][0-9]x|[\\PC&&[^\"\\\\]]{0,6}";
    let leaf = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        // Few digits: the reader of REST rounds the last of seventeen.
        (any::<i16>(), -3i32..30).prop_map(|(digits, exponent)| format!("{digits}.5e{exponent}")),
        "\"([\\PC&&[^\"\\\\]]|\\\\n|\\\\\\\\|\\\\\"|\\\\u00e9){0,12}\"",
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("\"square_hd\"".to_owned()),
    ];
    let value = leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            object(inner, name().boxed(), space().boxed()),
        ]
    });
    prop_oneof![9 => object(value.clone().boxed(), name().boxed(), space().boxed()), 1 => value]
}

fn object(
    value: BoxedStrategy<String>,
    name: BoxedStrategy<String>,
    space: BoxedStrategy<String>,
) -> impl Strategy<Value = String> + Clone {
    vec((name, space, value), 0..5).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, space, value)| format!("{space}\"{name}\":{space}{value}{space}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}
