//! Rows to measure with, made by the same calls of the store that make them in service.

use anyhow::{Result, ensure};
use bytes::Bytes;
use domain::{
    AttemptEvent, AttemptId, CredentialId, JobId, OnUnknown, Priority, ProjectId, RequestId, RetryPolicy, Timeouts,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use store::{
    Store,
    accept::{self, NewJob},
    claim::{ClaimRequest, Claimed, claim},
    settle::{AttemptNews, Entry, Guard, Source, settle},
};
use uuid::Uuid;

/// Rows of one batch here; what is measured chooses its own.
const BATCH: usize = 1000;
/// Three lanes, so that taking turns is part of what is measured.
const MODELS: [&str; 3] = ["fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/fast-sdxl"];

pub(super) const TIMEOUTS: Timeouts = Timeouts {
    submit: Duration::from_secs(15),
    lease: Duration::from_mins(10),
    start: Duration::from_mins(10),
    run: Duration::from_hours(1),
    abandon_after: Duration::from_hours(3),
    history_after: Duration::from_secs(30),
};

pub(super) const RETRY: RetryPolicy = RetryPolicy { first: Duration::from_secs(2), longest: Duration::from_mins(5) };

/// An image job's input of about 600 bytes.
pub(super) fn input() -> String {
    let prompt = "a photograph of an astronaut riding a horse through a field of sunflowers at golden hour, 85mm lens, \
                  shallow depth of field, film grain, muted colours, high detail, wide dynamic range, volumetric light";
    format!(
        concat!(
            r#"{{"prompt":"{}","image_size":"landscape_4_3","num_inference_steps":28,"guidance_scale":3.5,"#,
            r#""num_images":1,"seed":42,"enable_safety_checker":true,"sync_mode":false,"#,
            r#""negative_prompt":"blurry, low quality, deformed, watermark, text, signature","#,
            r#""loras":[{{"path":"https://files.example/lora.safetensors","scale":0.8}}]}}"#
        ),
        prompt
    )
}

/// The model of a job: they take turns.
pub(super) const fn model(index: usize) -> &'static str {
    MODELS[index % MODELS.len()]
}

/// The body of a submit of that job.
pub(super) fn submission(index: usize) -> String {
    format!(r#"{{"model":"{}","input":{}}}"#, model(index), input())
}

/// A job as the API would hand it to the store.
pub(super) fn job(index: usize) -> NewJob {
    let input = input();
    NewJob {
        id: JobId(store::fresh_id()),
        project: ProjectId::DEFAULT,
        credential: None,
        model: model(index).to_owned(),
        input_sha256: Sha256::digest(input.as_bytes()).into(),
        input: Bytes::from(input),
        mints_seed: false,
        priority: Priority::default(),
        run_at: None,
        useful_until: None,
        on_unknown: OnUnknown::default(),
        attempts_max: 5,
        tags: Vec::new(),
        metadata: serde_json::json!({}),
        idempotency: None,
        unique: None,
        regenerated_from: None,
        estimated: None,
    }
}

/// Puts `count` jobs in the queue.
pub(super) async fn fill(store: &Store, count: usize) -> Result<()> {
    let mut made = 0;
    while made < count {
        let jobs: Vec<NewJob> = (made..count.min(made + BATCH)).map(job).collect();
        let mut tx = store.pools.api.begin().await?;
        accept::insert(&mut tx, &jobs).await?;
        tx.commit().await?;
        made += jobs.len();
    }
    store::bench::settle_down(store).await?;
    Ok(())
}

/// Claims up to `count` jobs, whatever is open already.
pub(super) async fn claim_some(store: &Store, owner: Uuid, count: usize) -> Result<Vec<Claimed>> {
    let fresh: Vec<(AttemptId, i64)> = (0..count).map(|_| (AttemptId(store::fresh_id()), 42)).collect();
    let request =
        ClaimRequest { credential: CredentialId::DEFAULT, owner, places: u32::MAX, timeouts: &TIMEOUTS, fresh: &fresh };
    Ok(claim(store, &request).await?)
}

/// Makes `count` attempts that fal has taken, each with a request id of its own.
pub(super) async fn submitted(store: &Store, count: usize) -> Result<Vec<(AttemptId, String)>> {
    fill(store, count).await?;
    let (owner, mut taken) = (store::fresh_id(), Vec::with_capacity(count));
    while taken.len() < count {
        let claimed = claim_some(store, owner, BATCH).await?;
        ensure!(!claimed.is_empty(), "the backlog ran out");
        let attempts: Vec<(AttemptId, String)> =
            claimed.iter().map(|claimed| (claimed.attempt, store::fresh_id().to_string())).collect();
        let entries: Vec<Entry> = attempts.iter().map(|(attempt, id)| bound(*attempt, id)).collect();
        settle(&store.pools.work, RETRY, &entries).await?;
        taken.extend(attempts);
    }
    store::bench::settle_down(store).await?;
    Ok(taken)
}

/// What a job's whole life after its claim comes to where nothing is asked of fal: its result.
pub(super) fn finished(attempt: AttemptId) -> Entry {
    let event = AttemptEvent::ResultOk(RequestId(store::fresh_id().to_string()));
    Entry::Attempt(Box::new(result(attempt, event)))
}

/// The same, as news for a settler.
pub(super) fn result(attempt: AttemptId, event: AttemptEvent) -> AttemptNews {
    let body = Bytes::from_static(br#"{"images":[{"url":"https://v3.fal.media/files/lighthouse.png"}],"seed":42}"#);
    AttemptNews { result: Some(body), ..AttemptNews::of(attempt, Some(event), Guard::Evidence, Source::Poll) }
}

fn bound(attempt: AttemptId, request_id: &str) -> Entry {
    let event = AttemptEvent::Bound(RequestId(request_id.to_owned()));
    let news = AttemptNews {
        next_look: Some(Duration::from_hours(1)),
        ..AttemptNews::of(attempt, Some(event), Guard::Evidence, Source::Submit)
    };
    Entry::Attempt(Box::new(news))
}
