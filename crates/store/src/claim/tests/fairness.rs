//! Lanes take turns.

use super::of_model;
use crate::{accept::NewJob, tests::fixture::*};
use domain::{AttemptEvent, JobId};
use sqlx::PgPool;

/// Claims one job at a time, ends it at once, and returns the order in which `wanted` came up among the others.
async fn served_one_by_one(store: &crate::Store, wanted: &[JobId], claims: usize) -> Vec<usize> {
    let mut places = Vec::new();
    for place in 0..claims {
        let claimed = claim_up_to(store, 1, 1).await.pop().expect("jobs are ready");
        if wanted.contains(&claimed.job) {
            places.push(place);
        }
        decide(store, &claimed, AttemptEvent::Refused(LASTING)).await;
    }
    places
}

async fn flood(store: &crate::Store, jobs: usize) {
    let jobs: Vec<NewJob> = (0..jobs).map(|_| of_model("fal-ai/flood")).collect();
    handed_in(store, &jobs).await;
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_flood_of_older_jobs_does_not_starve_another_lane_of_the_only_place(pool: PgPool) {
    let store = store(&pool);
    flood(&store, 40).await;
    let quiet: Vec<JobId> = [accepted(&store, a_job()).await, accepted(&store, a_job()).await].to_vec();
    let places = served_one_by_one(&store, &quiet, 6).await;
    assert_eq!(places.len(), 2, "the quiet lane was served at {places:?} of 6");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn more_lanes_than_places_are_all_served(pool: PgPool) {
    let store = store(&pool);
    for lane in 0..5 {
        let jobs: Vec<NewJob> = (0..4).map(|_| of_model(&format!("fal-ai/lane-{lane}"))).collect();
        handed_in(&store, &jobs).await;
    }
    for round in 0..4 {
        let mut models = Vec::new();
        for _ in 0..5 {
            let claimed = claim_up_to(&store, 1, 1).await.pop().expect("jobs are ready");
            decide(&store, &claimed, AttemptEvent::Refused(LASTING)).await;
            models.push(claimed.model);
        }
        models.sort_unstable();
        models.dedup();
        assert_eq!(models.len(), 5, "round {round} served {models:?}");
    }
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn one_batch_takes_from_every_lane(pool: PgPool) {
    let store = store(&pool);
    flood(&store, 20).await;
    let other = another_project(&store).await;
    let theirs = NewJob { project: other, ..of_model("fal-ai/flood") };
    handed_in(&store, &[theirs.clone(), NewJob { id: a_job().id, ..theirs }]).await;
    let batch = claim_up_to(&store, 100, 4).await;
    assert_eq!(batch.iter().filter(|claimed| claimed.project == other).count(), 2, "projects take turns as models do");
}

#[sqlx::test(migrator = "crate::MIGRATOR")]
async fn a_lone_lane_may_fill_every_place(pool: PgPool) {
    let store = store(&pool);
    flood(&store, 8).await;
    assert_eq!(claim_up_to(&store, 8, 8).await.len(), 8);
}
