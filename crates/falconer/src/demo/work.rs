//! The jobs of the demo: a mix of models, each job with an input of its own.

use super::faults::{MODELS, certain_cuts};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::{Value, json};

const SUBJECTS: [&str; 10] = [
    "a peregrine falcon over a slate sea",
    "a glass teapot on a linen cloth",
    "a red fox in fresh snow",
    "an empty tram at blue hour",
    "a bowl of apricots in window light",
    "a lighthouse in a thunderstorm",
    "a clay robot that waters tomatoes",
    "a paper boat in a rain gutter",
    "a watchmaker's bench seen from above",
    "a heron in the mist of a rice field",
];
const MANNERS: [&str; 6] = [
    "35mm photograph",
    "gouache on rough paper",
    "studio product shot, softbox from the left",
    "woodcut in two colours",
    "long exposure, tripod",
    "isometric, flat shading",
];
const SIZES: [&str; 3] = ["square_hd", "landscape_4_3", "portrait_16_9"];

/// One job as it is posted.
#[derive(Clone, Debug)]
pub(super) struct Work {
    /// From 1.
    pub(super) number: u32,
    pub(super) body: Value,
}

/// Makes the jobs of a seed. The same seed makes the same jobs.
pub(super) fn jobs(seed: u64, jobs: u32) -> Vec<Work> {
    let mut dice = SmallRng::seed_from_u64(seed);
    (1..=jobs).map(|number| Work { number, body: body(&mut dice, number, jobs) }).collect()
}

/// What the prompt of a job, and of no other, contains.
pub(super) fn mark(number: u32, jobs: u32) -> String {
    format!("take {number} of {jobs}")
}

fn body(dice: &mut SmallRng, number: u32, jobs: u32) -> Value {
    let (subject, manner) = (one_of(dice, &SUBJECTS), one_of(dice, &MANNERS));
    let prompt = format!("{subject}, {manner}, {}", mark(number, jobs));
    let picture = format!("https://pictures.example/{number}.png");
    // A script finds a job by its prompt, which this model's input has.
    let model = if certain_cuts(jobs).contains(&number) { MODELS[0].0 } else { one_of(dice, &MODELS).0 };
    let input = match model {
        "fal-ai/bria/background/remove" => json!({ "image_url": picture }),
        "fal-ai/nano-banana/edit" => json!({ "prompt": prompt, "image_urls": [picture] }),
        _ => json!({ "prompt": prompt, "image_size": one_of(dice, &SIZES) }),
    };
    let priority: i8 = if dice.random_ratio(1, 10) { 5 } else { 0 };
    json!({ "model": model, "input": input, "priority": priority, "tags": ["demo"], "metadata": { "take": number } })
}

fn one_of<T: Copy>(dice: &mut SmallRng, choices: &[T]) -> T {
    *choices.choose(dice).expect("a constant list that is not empty")
}
