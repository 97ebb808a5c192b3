//! The real store on a real database, called as the crates above it call it.

use super::command::Command;
use super::expect::{Answer, Seen};
use super::fixture::{self, ME, RETRY, store};
use super::ids::{attempt_id, callback_id, job_id, number};
use super::model::{Batch, Call, Held, RETRY_AFTER, Stage, TIMEOUTS, UNIQUE_FOR};
use super::news::{News, Speaker};
use super::ops::{No, Spec};
use super::upkeep::{KEEP_BINDINGS_DAYS, KEEP_JOBS_DAYS};
use crate::{
    Store,
    accept::{self, Accepted, Idempotency, NewJob, Unique},
    callbacks,
    claim::{ClaimRequest, claim},
    jobs::{Refetched, insert_refetched, refetch_source},
    looks,
    retention::{self, Retention},
    settle::{AttemptNews, CallbackNews, Entry, Guard, JobNews, ResolveNews, Settled, settle},
    sweeps,
};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AttemptId, CredentialId, JobEvent, KeyId, Priority, ProjectId};
use futures::future::BoxFuture;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{collections::BTreeMap, collections::HashMap, sync::Mutex, time::Duration};
use uuid::Uuid;

const DAY: Duration = Duration::from_hours(24);

/// The store of one case.
pub(super) struct System {
    pub(super) pool: PgPool,
    pub(super) store: Store,
    /// The instant at which every case begins: a Tuesday at midnight, so that weeks and days end where the model says.
    pub(super) start: DateTime<Utc>,
    /// What a claim gave its sender to hold.
    fences: Mutex<HashMap<No, i64>>,
}

impl System {
    pub(super) fn new(pool: PgPool, start: DateTime<Utc>) -> Self {
        Self { store: store(&pool), pool, start, fences: Mutex::default() }
    }

    pub(super) fn execute<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Seen> {
        Box::pin(async move {
            match command {
                Command::Nothing => Seen::Nothing,
                Command::Accept { first, batch, committed } => self.accept(*first, batch, *committed).await,
                Command::Claim { first, room, places } => self.claim(*first, *room, *places).await,
                Command::News(news) => match self.settled(vec![self.news(news)]).await.remove(0) {
                    Settled::Attempt(outcome) => Seen::News(outcome),
                    other => panic!("{other:?}"),
                },
                Command::Calls(calls) => self.calls(calls).await,
                Command::Due => self.due().await,
                Command::Sweep => {
                    let found = sweeps::find(&self.store).await.unwrap();
                    self.settled(found.into_iter().map(Entry::Job).collect()).await;
                    Seen::Nothing
                }
                Command::Cancel { job, ours } => {
                    let project = Some(if *ours { ME } else { ProjectId(Uuid::from_u128(7)) });
                    let news = JobNews { job: job_id(self.start, *job), project, event: JobEvent::CancelRequested };
                    match self.settled(vec![Entry::Job(news)]).await.remove(0) {
                        Settled::Job(outcome) => Seen::Job(outcome),
                        other => panic!("{other:?}"),
                    }
                }
                Command::Refetch { job, source, body, fresh } => self.refetch(*job, *source, body, *fresh).await,
                Command::Resolve { job, how } => {
                    let by = KeyId(Uuid::from_u128(9));
                    let news = ResolveNews { job: job_id(self.start, *job), project: ME, how: *how, by };
                    match self.settled(vec![Entry::Resolve(news)]).await.remove(0) {
                        Settled::Resolved(outcome) => Seen::Resolved(outcome),
                        other => panic!("{other:?}"),
                    }
                }
                Command::Repin(ours) => {
                    let user = ours.map(user_of);
                    assert!(
                        crate::credentials::repin(
                            &self.store,
                            CredentialId::DEFAULT,
                            user,
                            &crate::audit::By::command_line("test")
                        )
                        .await
                        .unwrap()
                    );
                    Seen::Nothing
                }
                Command::Retain => self.retain().await,
                Command::Race(one, other) => {
                    let (one, other) = tokio::join!(self.execute(one), self.execute(other));
                    Seen::Both(Box::new(one), Box::new(other))
                }
            }
        })
    }

    /// Moves the database's clock on to `now`, milliseconds from the start. Never back.
    pub(super) async fn set_clock(&self, now: i64) {
        let sql = "update falconer.clock set ahead_by = greatest($1 - clock_timestamp(), ahead_by)";
        sqlx::query(sql).bind(self.start + TimeDelta::milliseconds(now)).execute(&self.pool).await.unwrap();
    }

    async fn accept(&self, first: No, batch: &Batch, committed: bool) -> Seen {
        let jobs: Vec<NewJob> = (first..).zip(&batch.specs).map(|(no, spec)| self.job(no, spec, batch.at)).collect();
        let mut tx = self.store.pools.api.begin().await.unwrap();
        let answers = accept::insert(&mut tx, &jobs).await.unwrap();
        if committed {
            tx.commit().await.unwrap();
        } else {
            tx.rollback().await.unwrap();
        }
        let answers = answers.into_iter().map(|answer| match answer.accepted {
            Accepted::Created(id) => Answer::Created(number(id.0)),
            Accepted::Replayed(id) => Answer::Replayed(number(id.0)),
            Accepted::KeyReused(id) => Answer::KeyReused(number(id.0)),
            Accepted::NotUnique(id) => Answer::NotUnique(number(id.0)),
        });
        Seen::Accepted(answers.collect())
    }

    fn job(&self, no: No, spec: &Spec, at: i64) -> NewJob {
        let after = |seconds: i64| self.start + TimeDelta::milliseconds(at) + TimeDelta::seconds(seconds);
        NewJob {
            id: job_id(self.start, no),
            priority: Priority::new(spec.priority).unwrap(),
            run_at: spec.delay.map(after),
            useful_until: spec.useful.map(after),
            on_unknown: spec.on_unknown,
            attempts_max: spec.attempts_max,
            idempotency: spec.key.as_ref().map(|key| Idempotency {
                key: key.name.to_string(),
                fingerprint: [key.body; 32],
                reset_failed: key.reset,
            }),
            unique: spec.unique.map(|name| Unique { key: name.to_string(), period: UNIQUE_FOR }),
            ..fixture::a_job()
        }
    }

    async fn claim(&self, first: No, room: u16, places: u16) -> Seen {
        let fresh: Vec<(AttemptId, i64)> = (first..first + room).map(|no| (attempt_id(self.start, no), 7)).collect();
        let request = ClaimRequest {
            credential: CredentialId::DEFAULT,
            owner: Uuid::from_u128(1),
            places: places.into(),
            timeouts: &TIMEOUTS,
            fresh: &fresh,
        };
        let claimed = claim(&self.store, &request).await.unwrap();
        let mut fences = self.fences.lock().unwrap();
        fences.extend(claimed.iter().map(|claimed| (number(claimed.attempt.0), claimed.fence)));
        Seen::Claimed(claimed.iter().map(|claimed| (number(claimed.job.0), number(claimed.attempt.0))).collect())
    }

    fn news(&self, news: &News) -> Entry {
        let guard = match news.by {
            Speaker::Anyone => Guard::Evidence,
            Speaker::Holder => Guard::Lease { fence: self.fences.lock().unwrap()[&news.attempt] },
            Speaker::ReadAt(version) => Guard::Version(version),
        };
        let id = attempt_id(self.start, news.attempt);
        Entry::Attempt(Box::new(AttemptNews {
            result: news.body.clone(),
            message: Some("as fal said: \0".to_owned()),
            retry_after: news.retry_after,
            next_look: Some(RETRY_AFTER),
            supersede_unknown: news.supersedes,
            gateway_request_id: Some("gateway \0".to_owned()),
            ..AttemptNews::of(id, news.event.clone(), guard, news.source)
        }))
    }

    async fn calls(&self, calls: &[(No, Call, bool)]) -> Seen {
        let mut entries = Vec::new();
        for (no, call, again) in calls {
            if *again {
                self.is_kept_as_it_came(*no, call).await;
            }
            entries.push(Entry::Callback(Box::new(CallbackNews {
                id: callback_id(self.start, *no),
                credential: CredentialId::DEFAULT,
                attempt: attempt_id(self.start, call.attempt),
                request_id: call.request_id.clone(),
                user_id: user_of(call.ours).to_owned(),
                signed_at: self.start.timestamp() + call.signed_at,
                signature: "00".repeat(64),
                body_sha256: Sha256::digest(&call.body).into(),
                body: call.body.clone(),
                gateway_request_id: None,
                said: call.said.clone(),
                leeway: Duration::from_mins(5),
                again: *again,
            })));
        }
        let answers = self.settled(entries).await.into_iter().map(|answer| match answer {
            Settled::Callback(disposition) => disposition,
            other => panic!("{other:?}"),
        });
        Seen::Calls(answers.collect())
    }

    /// An operator reads the very bytes that came, also of a repeat, whose bytes are stored once.
    async fn is_kept_as_it_came(&self, no: No, call: &Call) {
        let stored = callbacks::for_reprocess(&self.store, callback_id(self.start, no)).await.unwrap();
        assert_eq!(stored.and_then(|stored| stored.body).map(Bytes::from), Some(call.body.clone()), "callback {no}");
    }

    async fn due(&self) -> Seen {
        let due = looks::claim_due(&self.store, 100, TIMEOUTS.lease).await.unwrap();
        let held = due.into_iter().map(|due| {
            let stage = match due.stage {
                looks::Stage::LeaseRanOut => Stage::LeaseRanOut,
                looks::Stage::Unknown { candidate, .. } => Stage::Unknown(candidate.map(|id| id.0)),
                looks::Stage::Awaited { .. } => panic!("every attempt of this world is our own"),
                looks::Stage::Submitted { request_id } => Stage::Submitted(request_id.0),
            };
            let at = (due.now - self.start).num_milliseconds() / 1000 * 1000;
            let (version, cancel_wanted, superseded) = (due.version, due.cancel_wanted, due.superseded);
            (number(due.attempt.0), Held { at, version, stage, cancel_wanted, superseded })
        });
        Seen::Due(held.collect::<BTreeMap<_, _>>())
    }

    async fn refetch(&self, job: No, source: No, body: &Bytes, fresh: (No, No)) -> Seen {
        let job = job_id(self.start, job);
        let found = refetch_source(&self.store, Some(ME), job).await.unwrap().expect("the job is there");
        let attempt = found.attempt.expect("it has a request id").0;
        assert_eq!(number(attempt.0), source);
        let fresh = (job_id(self.start, fresh.0), attempt_id(self.start, fresh.1));
        match insert_refetched(&self.store, job, attempt, fresh, body).await.unwrap() {
            Refetched::Created(id) | Refetched::Found(id) => Seen::Refetched(number(id.0)),
            Refetched::Gone => panic!("the job has failed"),
        }
    }

    async fn retain(&self) -> Seen {
        let keep = |days: i64| DAY * u32::try_from(days).unwrap();
        let keep = Retention {
            jobs: keep(KEEP_JOBS_DAYS),
            callbacks: keep(KEEP_JOBS_DAYS),
            bindings: keep(KEEP_BINDINGS_DAYS),
        };
        let removed = retention::run(&self.store, &keep).await.unwrap();
        // Ids are minted at the start of a case, wherever the clock has been moved.
        ensure_partitions(&self.pool, self.start, 1).await;
        let week = format!("jobs_{}", (self.start - TimeDelta::days(1)).format("%Y%m%d"));
        Seen::Retained(removed.partitions.contains(&week))
    }

    /// Settles as the batcher does: a batch that lost to another transaction is repeated, and so is a callback or an
    /// answer whose caller was told of a failure.
    async fn settled(&self, entries: Vec<Entry>) -> Vec<Settled> {
        if entries.is_empty() {
            return Vec::new();
        }
        for _ in 0..3 {
            match settle(&self.store.pools.work, RETRY, &entries).await {
                Ok(batch) => return batch.answers,
                Err(error) => eprintln!("settled again after: {error}: {:?}", std::error::Error::source(&error)),
            }
        }
        panic!("{entries:?} cannot be settled");
    }
}

pub(super) async fn ensure_partitions(pool: &PgPool, start: DateTime<Utc>, weeks: i64) {
    sqlx::query("select falconer.ensure_partitions($1, $2)")
        .bind(start)
        .bind(start + TimeDelta::weeks(weeks))
        .execute(pool)
        .await
        .unwrap();
}

fn user_of(ours: bool) -> &'static str {
    if ours { fixture::OURS } else { "user_theirs" }
}
