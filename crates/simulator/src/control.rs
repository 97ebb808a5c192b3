//! What can be changed while the simulator runs, from its process or over `/_sim`.

use std::sync::Arc;

use crate::core::Core;
use crate::error::SimulatorError;
use crate::faults::Faults;
use crate::truth::TruthEvent;

impl Core {
    /// Sets all rates, for requests that come from now on.
    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), SimulatorError> {
        faults.check()?;
        self.world().faults = faults;
        Ok(())
    }

    /// Changes how many requests of an account may run at once. What runs goes on.
    pub(crate) fn set_slots(self: &Arc<Self>, account: usize, slots: u32) -> Result<(), SimulatorError> {
        if slots == 0 {
            return Err(SimulatorError::Config("slots must be at least 1".to_owned()));
        }
        let now = self.now();
        let started = {
            let mut world = self.world();
            world.accounts[account].meter.set_slots(slots, now.up);
            world.pump(now)
        };
        self.launch(started);
        self.touch();
        Ok(())
    }

    /// Lets all held requests go.
    pub(crate) fn release_held(&self) {
        for request in &mut self.world().requests {
            request.plan.hold = false;
        }
        self.touch();
    }

    /// Makes a result expire at this moment.
    pub(crate) fn forget(&self, request_id: &str) -> Result<(), SimulatorError> {
        let now = self.now();
        let mut world = self.world();
        let index = world.index_of(request_id)?;
        world.requests[index].expires = Some(now.up);
        world.truth.write(now.wall, Some(request_id), TruthEvent::Forgotten);
        drop(world);
        self.touch();
        Ok(())
    }
}
