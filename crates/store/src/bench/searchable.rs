//! Jobs to search among, by the hundred thousand.

use crate::{Store, error::Result};

/// Puts `count` jobs, a thousandth of a second apart, into the project `default`. Most have succeeded, one in 1,000 failed,
/// one in 5,000 was canceled, one in 100,000 is held; one in 100,000 is of the model `fal-ai/rare`. A third has a tag `t0` to
/// `t19`, one in 50,000 also `rare`, and those of the first half have `old`. Every second has the metadata
/// `{"user": {"id": "u0" … "u49999"}, "n": 0 … 99}`.
pub async fn fill_searchable(store: &Store, count: i64) -> Result<()> {
    let mut tx = store.pools.maintenance.begin().await?;
    sqlx::query("set local statement_timeout = '10min'").execute(&mut *tx).await?;
    sqlx::query(
        "insert into falconer.lanes (credential_id, project_id, model)
         select c.id, p.id, m from falconer.credentials c, falconer.projects p,
             unnest(array['fal-ai/flux/schnell', 'fal-ai/flux/dev', 'fal-ai/fast-sdxl', 'fal-ai/rare']) m
         where c.name = 'default' and p.name = 'default'
         on conflict do nothing",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "insert into falconer.jobs (id, project_id, credential_id, lane_id, model, input, input_sha256, state, run_at,
             claim_key, tags, metadata, created_at, finished_at, winner, error_class)
         select (lpad(to_hex((extract(epoch from n.at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0')
                 || '8' || lpad(to_hex(i), 15, '0'))::uuid,
             l.project_id, l.credential_id, l.id, l.model, decode(repeat('7b', 600), 'hex'),
             decode(repeat('00', 32), 'hex'), s.state, n.at, n.at,
             (case when i % 3 = 0 then array['t' || i % 20] else '{}' end)
                 || (case when i % 50000 = 9 then array['rare'] else '{}' end)
                 || (case when i < $1 / 2 then array['old'] else '{}' end),
             case when i % 2 = 0 then jsonb_build_object(
                 'user', jsonb_build_object('id', 'u' || i % 50000), 'n', i % 100) else '{}' end,
             n.at, case when s.state <> 'held' then n.at end,
             case when s.state = 'succeeded' then gen_random_uuid() end,
             case when s.state = 'failed' then case when i % 10000 = 7 then 'abandoned' else 'timeout_run' end end
         from generate_series(1, $1) as i
         cross join lateral (
             select now() - make_interval(secs => ($1 - i) / 1000.0) as at) as n
         cross join lateral (select case when i % 1000 = 7 then 'failed' when i % 5000 = 11 then 'canceled'
             when i % 100000 = 13 then 'held' else 'succeeded' end as state) as s
         join falconer.lanes l on l.model = case when i % 100000 = 21 then 'fal-ai/rare' else
             (array['fal-ai/flux/schnell', 'fal-ai/flux/dev', 'fal-ai/fast-sdxl'])[1 + i % 3] end",
    )
    .bind(count)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}
