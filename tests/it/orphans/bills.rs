//! An unknown attempt without history and callbacks: a bill may name it, if nothing else could be meant.

use super::{billed, foreign_run, ledger, lost, state_of, wait_unknown};
use crate::orphans::MODEL;
use serde_json::json;
use simulator::{HistoryMode, Outcome, Script};
use std::time::Duration;
use testkit::{JobId, World, WorldBuilder};

fn without_history(mode: HistoryMode) -> WorldBuilder {
    World::builder().sim(|sim| sim.history = mode)
}

/// After this much no run of an attempt goes on at fal, and it has had the time to list its bill.
const RUN_IS_BILLED: Duration = Duration::from_mins(70 + 15 + 1);

/// Waits until an attempt was looked at twice more: what could be found was found.
async fn looked_at_again(world: &World, id: JobId) {
    let query = "select looks from falconer.attempts where job_id = $1 and number = 1";
    let looks = async || -> i32 {
        sqlx::query_scalar(query).bind(id).fetch_one(world.db()).await.expect("the attempt is there")
    };
    let before = looks().await;
    testkit::wait::until("two more looks", async || {
        let after = looks().await;
        if after > before + 2 { Ok(()) } else { Err(after) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_bill_that_fits_names_the_attempt_and_brings_its_result() {
    for mode in [HistoryMode::Off, HistoryMode::Refused] {
        let world = without_history(mode).start().await;
        // A bill of another model is none that fits.
        foreign_run(&world, "fal-ai/flux/dev").await;
        world.sim().script_next(lost());
        let id = world.submit_prompt("an owl").await;
        wait_unknown(&world, id).await;
        billed(&world, 2).await;
        world.advance_clock(RUN_IS_BILLED).await;

        let job = world.wait_ended_as(id, "succeeded").await;

        assert_eq!(job["request_id"], world.sent("an owl").await.request_id.as_str(), "{mode:?}");
        assert_eq!(state_of(&world, id, 1).await.1.as_deref(), Some("history"));
        assert_eq!(ledger(&world, id).await, ["charge"]);
        assert!(world.server().log().contains("found_in_bills"), "{mode:?}");
        world.drain_and_check().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_attempts_and_two_bills_that_fit_are_left_to_time() {
    let world = without_history(HistoryMode::Off).start().await;
    for _ in 0..2 {
        world.sim().script_next(lost());
    }
    let ids = [world.submit_prompt("an owl").await, world.submit_prompt("a fox").await];
    for id in ids {
        wait_unknown(&world, id).await;
    }
    billed(&world, 2).await;
    world.advance_clock(RUN_IS_BILLED).await;

    for id in ids {
        looked_at_again(&world, id).await;
        assert_eq!(state_of(&world, id, 1).await, ("unknown".to_owned(), None));
    }

    world.advance_clock(Duration::from_mins(181)).await;
    world.wait_all_succeeded(&ids).await;
    assert_eq!(world.sim().submissions(), 4);
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_bill_that_fits_leaves_the_attempt_unknown() {
    let world = without_history(HistoryMode::Off).start().await;
    foreign_run(&world, MODEL).await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    billed(&world, 2).await;
    world.advance_clock(RUN_IS_BILLED).await;

    looked_at_again(&world, id).await;

    assert_eq!(state_of(&world, id, 1).await, ("unknown".to_owned(), None));
    assert_eq!(world.sim().submissions(), 2);
    world.check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_makes_the_bill_doubtful() {
    let world = without_history(HistoryMode::Off).start().await;
    // fal bills the first run, and not the second, which fails.
    world.sim().script_next(lost());
    world.sim().script_next(Script { outcome: Some(Outcome::RunnerError("internal_error".to_owned())), ..lost() });
    let ids = [world.submit_prompt("an owl").await, world.submit_prompt("a fox").await];
    for id in ids {
        wait_unknown(&world, id).await;
    }
    billed(&world, 1).await;
    let give_up = json!({ "action": "give_up" });
    let billed_one = usize::from(world.sent("an owl").await.cost.is_none());
    assert_eq!(world.post(&format!("/v1/jobs/{}/resolve", ids[billed_one]), &give_up).await.status, 200);

    let other = ids[1 - billed_one];
    world.advance_clock(RUN_IS_BILLED).await;
    looked_at_again(&world, other).await;

    assert_eq!(state_of(&world, other, 1).await, ("unknown".to_owned(), None));
    world.check().await;
}

/// Nothing is known of the model's pace, so ours may run for as long as any.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_bill_that_fits_is_not_taken_while_the_attempts_own_run_may_go_on() {
    let world = without_history(HistoryMode::Off).start().await;
    world.sim().script_next(Script { hold: true, ..lost() });
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;
    foreign_run(&world, MODEL).await;
    billed(&world, 1).await;

    // An hour is not enough, nor is its deadline: fal's lists lag.
    for minutes in [60, 20] {
        world.advance_clock(Duration::from_mins(minutes)).await;
        looked_at_again(&world, id).await;
        assert_eq!(state_of(&world, id, 1).await, ("unknown".to_owned(), None));
    }

    assert_eq!(world.sim().submissions(), 2);
    world.sim().release_held();
    world.check().await;
}

/// fal ran it, and its callbacks were lost: only the bill knows.
#[tokio::test(flavor = "multi_thread")]
async fn bills_that_do_not_answer_let_nothing_be_sent_again() {
    let world = without_history(HistoryMode::Refused).sim(|sim| sim.billing = HistoryMode::Down).start().await;
    world.sim().script_next(lost());
    let id = world.submit_prompt("an owl").await;
    wait_unknown(&world, id).await;

    world.advance_clock(Duration::from_mins(181)).await;
    looked_at_again(&world, id).await;

    assert_eq!(state_of(&world, id, 1).await, ("unknown".to_owned(), None));
    assert_eq!(world.sim().submissions(), 1);
    world.check().await;
}
