//! What must hold when a story is over.

use super::{CALLBACK_SECRET, FAL_KEY, World};
use crate::{
    invariants::{self, Broken},
    truth, wait,
};
use serde_json::Value;
use std::time::Duration;

/// Callback tokens and prompts that are looked for where no secret may be. One that leaks, leaks with every job.
const CANARIES_OF_EACH: usize = 3;
/// Prompts shorter than this stand in many a text by chance.
const PROMPT_MIN: usize = 24;

/// Something that does not hold.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The invariant's id, or `log` for an error that a server logged.
    pub check: String,
    /// What should hold, and what was found instead.
    pub detail: String,
}

impl World {
    /// Waits until every job has ended, then checks everything that must hold after a run.
    ///
    /// # Panics
    /// When a job does not end, an invariant is broken, or a server logged an error.
    pub async fn drain_and_check(&self) {
        wait::until("every job to end", async || {
            let open: i64 = sqlx::query_scalar(
                "select count(*) from falconer.jobs where state not in ('succeeded', 'failed', 'canceled')",
            )
            .fetch_one(&self.db)
            .await
            .expect("the database answers");
            if open == 0 { Ok(()) } else { Err(open) }
        })
        .await;
        self.check_with(invariants::after_drain()).await;
    }

    /// Checks what must hold at any moment, where work is left on purpose.
    ///
    /// # Panics
    /// When an invariant is broken, or a server logged an error.
    pub async fn check(&self) {
        self.check_with(invariants::always()).await;
    }

    /// Ends a story whose database was broken on purpose; `why` is for the reader of the test.
    pub fn leave_unchecked(&self, why: &str) {
        assert!(!why.is_empty(), "a reason is needed");
        *self.checked.lock().expect("no holder panics") = true;
    }

    /// Waits until no server has a connection to the database in use.
    ///
    /// # Panics
    /// When one stays in use.
    pub async fn wait_connections_idle(&self) {
        wait::until("every connection to be idle", async || {
            let busy: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and application_name like 'falconer %' and state <> 'idle'",
            )
            .fetch_one(self.db())
            .await
            .expect("the database answers");
            if busy == 0 { Ok(()) } else { Err(busy) }
        })
        .await;
    }

    /// What does not hold of all that must hold at any moment; empty where all is well. Ends a story as
    /// [`World::check`] does, without a panic.
    pub async fn findings(&self) -> Vec<Finding> {
        self.findings_of(invariants::always()).await
    }

    /// Waits up to `patience` for every job to end, then says what does not hold of all that must hold after a run.
    pub async fn findings_after_drain(&self, patience: Duration) -> Vec<Finding> {
        let query = "select count(*) from falconer.jobs where state not in ('succeeded', 'failed', 'canceled')";
        // What is still open is a finding, and not a reason to wait for ever.
        let _ = wait::whether(patience, async || {
            let open: i64 = sqlx::query_scalar(query).fetch_one(&self.db).await.expect("the database answers");
            open == 0
        })
        .await;
        self.findings_of(invariants::after_drain()).await
    }

    async fn check_with(&self, list: Vec<invariants::Invariant>) {
        let findings = self.findings_of(list).await;
        assert!(findings.is_empty(), "broken invariants: {findings:#?}");
    }

    async fn findings_of(&self, list: Vec<invariants::Invariant>) -> Vec<Finding> {
        *self.checked.lock().expect("no holder panics") = true;
        let mut broken = invariants::broken(&self.db, &list).await.expect("the invariants can be asked");
        let acknowledged = self.acknowledged.lock().expect("no holder panics").clone();
        let forged = self.forged.lock().expect("no holder panics").clone();
        broken.extend(
            truth::broken(&self.db, &self.sim, &acknowledged, &forged).await.expect("the truth can be compared"),
        );
        let logs: Vec<String> = self.servers.iter().map(crate::Server::log).collect();
        let (secrets, prompts) = self.canaries();
        broken.extend(invariants::kept_secrets(&self.db, &logs, &secrets).await.expect("the tables can be searched"));
        let mut findings: Vec<Finding> = broken.into_iter().map(Finding::from).collect();
        for line in logs.iter().flat_map(|log| log.lines()) {
            if line.contains(r#""level":"ERROR""#) {
                findings.push(Finding { check: "log".to_owned(), detail: format!("an error was logged: {line}") });
            }
            if prompts.iter().any(|prompt| line.contains(prompt.as_str())) {
                findings.push(Finding { check: "I29".to_owned(), detail: format!("a prompt was logged: {line}") });
            }
        }
        findings
    }

    /// What must be nowhere in the clear, and what must be in no log.
    fn canaries(&self) -> (Vec<String>, Vec<String>) {
        let requests = self.sim.requests();
        let token = |url: &String| url.rsplit('/').next().map(str::to_owned);
        let tokens = requests.iter().filter_map(|request| request.webhook_url.as_ref().and_then(token));
        let prompt = |input: &[u8]| {
            let input: Value = serde_json::from_slice(input).ok()?;
            input["prompt"].as_str().filter(|prompt| prompt.len() >= PROMPT_MIN).map(str::to_owned)
        };
        let prompts = requests.iter().filter_map(|request| prompt(&request.input));
        let known = [CALLBACK_SECRET, FAL_KEY, self.api_key.as_str()].map(str::to_owned);
        // Neither a key of another account nor the secret half of one.
        let keys = self.sim.config().accounts.iter().flat_map(|account| &account.keys);
        let keys =
            keys.flat_map(|key| [key.clone(), key.split_once(':').map_or(key.as_str(), |(_, half)| half).to_owned()]);
        let tokens = tokens.take(CANARIES_OF_EACH);
        (known.into_iter().chain(keys).chain(tokens).collect(), prompts.take(CANARIES_OF_EACH).collect())
    }
}

impl From<Broken> for Finding {
    fn from(broken: Broken) -> Self {
        Self { check: broken.id.to_owned(), detail: format!("{}: {:#?}", broken.holds, broken.rows) }
    }
}
