//! What must hold when a story is over.

use super::World;
use crate::{invariants, truth, wait};

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

    async fn check_with(&self, list: Vec<invariants::Invariant>) {
        *self.checked.lock().expect("no holder panics") = true;
        let mut broken = invariants::broken(&self.db, &list).await.expect("the invariants can be asked");
        let acknowledged = self.acknowledged.lock().expect("no holder panics").clone();
        let forged = self.forged.lock().expect("no holder panics").clone();
        broken.extend(
            truth::broken(&self.db, &self.sim, &acknowledged, &forged).await.expect("the truth can be compared"),
        );
        assert!(broken.is_empty(), "broken invariants: {broken:#?}");
        for server in &self.servers {
            let log = server.log();
            let errors: Vec<&str> = log.lines().filter(|line| line.contains(r#""level":"ERROR""#)).collect();
            assert!(errors.is_empty(), "the server logged errors: {errors:#?}");
        }
    }
}
