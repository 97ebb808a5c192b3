//! A request that can be sent both ways, and what a way makes of it.

use chrono::{DateTime, Utc};
use falconer_submitter::{JobRequest, Submitter};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::{collections::BTreeSet, time::Duration};
use store::accept::{Accepted, Idempotency};

/// One request. What is missing is not sent at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) model: Option<String>,
    /// JSON text.
    pub(crate) input: Option<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) useful_until: Option<DateTime<Utc>>,
    pub(crate) tags: Option<Vec<String>>,
    /// JSON text.
    pub(crate) metadata: Option<String>,
    pub(crate) max_attempts: Option<i64>,
    pub(crate) on_unknown: Option<String>,
    pub(crate) unique: Option<(String, Duration)>,
    pub(crate) key: Option<String>,
}

/// What became of a request: the rows that it made, or the rules that it breaks. `None` where Postgres or the reader of the
/// whole body refused it before anybody looked at fields.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Stored(Value),
    Refused(Option<BTreeSet<(String, String)>>),
}

impl Asked {
    /// A request that is taken.
    pub(crate) fn good() -> Self {
        Self { model: Some("fal-ai/flux/dev".into()), input: Some(r#"{"prompt": "an owl"}"#.into()), ..Self::default() }
    }

    /// The body of `POST /v1/jobs`.
    pub(crate) fn body(&self) -> String {
        let text = |text: &String| json!(text).to_string();
        let unique = |(key, period): &(String, Duration)| {
            json!({ "key": key, "for": humantime::format_duration(*period).to_string() }).to_string()
        };
        let members = [
            ("model", self.model.as_ref().map(text)),
            ("input", self.input.clone()),
            ("priority", self.priority.map(|level| level.to_string())),
            ("run_at", self.run_at.map(|time| json!(time).to_string())),
            ("useful_until", self.useful_until.map(|time| json!(time).to_string())),
            ("tags", self.tags.as_ref().map(|tags| json!(tags).to_string())),
            ("metadata", self.metadata.clone()),
            ("max_attempts", self.max_attempts.map(|attempts| attempts.to_string())),
            ("on_unknown", self.on_unknown.as_ref().map(text)),
            ("unique", self.unique.as_ref().map(unique)),
        ];
        let members = members.into_iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value?)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    /// Sends it the way that `POST /v1/jobs` takes.
    pub(crate) async fn by_rust(&self, tx: &mut PgConnection, submitter: &Submitter) -> Verdict {
        let request = match JobRequest::parse(self.body().as_bytes()) {
            Ok(request) => request,
            Err(refused) => {
                let broken = refused.0.into_iter().map(|error| (name_in_sql(&error.field), error.rule));
                let broken: BTreeSet<_> = broken.collect();
                return Verdict::Refused(Some(broken).filter(|broken| broken.iter().all(|(field, _)| field != "body")));
            }
        };
        // Whoever puts the request together by hand is checked by the same rules.
        assert_eq!(request.check(), Ok(()), "{self:?}");
        let idempotency = self.key.clone().map(|key| Idempotency { key, fingerprint: [7; 32], reset_failed: false });
        let job = submitter.prepare(domain::ProjectId::DEFAULT, request, idempotency);
        let made = store::accept::insert(tx, &[job]).await.expect("what is parsed can be stored");
        match made[0].accepted {
            Accepted::Created(id) => Verdict::Stored(rows_of(tx, id.0).await),
            other => panic!("{other:?}"),
        }
    }

    /// Sends it to `falconer.submit_job`.
    pub(crate) async fn by_sql(&self, tx: &mut PgConnection) -> Verdict {
        match self.submit(tx, "default").await {
            Ok(id) => Verdict::Stored(rows_of(tx, id).await),
            Err(sqlx::Error::Database(refusal)) => match refusal.code().as_deref() {
                Some("22023") => {
                    let refusal = refusal.downcast_ref::<sqlx::postgres::PgDatabaseError>();
                    let broken: Vec<Value> = serde_json::from_str(refusal.detail().unwrap()).unwrap();
                    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
                    let broken: BTreeSet<_> =
                        broken.iter().map(|error| (text(error, "field"), text(error, "rule"))).collect();
                    assert!(broken.iter().any(|(field, _)| Some(field.as_str()) == refusal.column()), "{refusal:?}");
                    Verdict::Refused(Some(broken))
                }
                // What Postgres cannot read as a value of the type never reaches the function.
                Some("22P02" | "22P05" | "22021" | "22003" | "54001") => Verdict::Refused(None),
                _ => panic!("{self:?}: {refusal:?}"),
            },
            Err(error) => panic!("{self:?}: {error}"),
        }
    }

    pub(crate) async fn submit(&self, tx: &mut PgConnection, project: &str) -> Result<uuid::Uuid, sqlx::Error> {
        sqlx::query_scalar(
            "select falconer.submit_job(project => $1, model => $2, input => $3::text::json, priority => $4,
                 run_at => $5, useful_until => $6, tags => $7, metadata => $8::text::jsonb, max_attempts => $9,
                 on_unknown => $10, unique_key => $11, unique_for => $12, idempotency_key => $13)",
        )
        .bind(project)
        .bind(&self.model)
        .bind(&self.input)
        .bind(self.priority)
        .bind(self.run_at)
        .bind(self.useful_until)
        .bind(&self.tags)
        .bind(&self.metadata)
        .bind(self.max_attempts)
        .bind(&self.on_unknown)
        .bind(self.unique.as_ref().map(|(key, _)| key))
        .bind(self.unique.as_ref().map(|(_, period)| sqlx::postgres::types::PgInterval {
            months: 0,
            days: 0,
            microseconds: i64::try_from(period.as_micros()).unwrap(),
        }))
        .bind(&self.key)
        .fetch_one(tx)
        .await
    }
}

fn name_in_sql(field: &str) -> String {
    match field {
        "unique.key" => "unique_key".to_owned(),
        "unique.for" => "unique_for".to_owned(),
        field => field.to_owned(),
    }
}

/// All that a request has made, without ids and instants of its own: those are told by how they relate.
async fn rows_of(tx: &mut PgConnection, id: uuid::Uuid) -> Value {
    let (row, metadata): (Value, Value) = sqlx::query_as(
        "select to_jsonb(j) - array['id', 'lane_id', 'run_at', 'claim_key', 'created_at', 'metadata', 'estimated']
             || jsonb_build_object(
                 'is_of_its_time', j.id between falconer.uuid_at(j.created_at - interval '2 s')
                     and falconer.uuid_at(j.created_at + interval '2 s'),
                 'version_of_id', substr(j.id::text, 15, 1),
                 'starts', case when j.run_at > j.created_at then j.run_at::text else 'at once' end,
                 'sooner_by', extract(epoch from j.run_at - j.claim_key),
                 'estimated', trim_scale(j.estimated)::text,
                 'is_of_now', j.created_at between falconer.now() - interval '1 min' and falconer.now(),
                 'lane', (select to_jsonb(l) - 'id' from falconer.lanes l where l.id = j.lane_id),
                 'keys', (select jsonb_agg(jsonb_build_object('key', k.key, 'life', extract(epoch from
                         k.expires_at - k.created_at), 'now', k.created_at > j.created_at - interval '1 min') order by k.key)
                     from falconer.idempotency_keys k where k.job_id = j.id and k.project_id = j.project_id),
                 'uniques', (select jsonb_agg(jsonb_build_object('key', k.key, 'life', round(extract(epoch from
                         k.expires_at - j.created_at), 1)) order by k.key)
                     from falconer.unique_keys k where k.job_id = j.id and k.project_id = j.project_id)),
             j.metadata
         from falconer.jobs j where j.id = $1",
    )
    .bind(id)
    .fetch_one(tx)
    .await
    .expect("the job was made, and its metadata can be read again");
    json!({ "row": row, "metadata": by_value(metadata) })
}

/// Numbers by what they are worth: 10, 10.0 and 1e1 are one. REST reads the last of seventeen digits with an error of one or
/// two, SQL exactly, so they are left out.
fn by_value(json: Value) -> Value {
    match json {
        Value::Number(number) => json!(number.as_f64().map(|number| format!("{number:.12e}"))),
        Value::Array(items) => items.into_iter().map(by_value).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, by_value(value))).collect(),
        other => other,
    }
}
