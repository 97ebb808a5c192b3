//! One account: who may use it, what waits in its queue, and which of its slots are busy.

use std::collections::VecDeque;

use crate::config::AccountConfig;
use crate::occupancy::SlotMeter;

/// What one account has of its own. Requests point to theirs by its number; the first is that of the plain settings.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) user_id: String,
    /// Empty, of the first account alone, accepts every key of the shape `id:secret` that is no other account's.
    pub(crate) keys: Vec<String>,
    pub(crate) meter: SlotMeter,
    pub(crate) queue: VecDeque<(u64, usize)>,
    pub(crate) low_queue: VecDeque<(u64, usize)>,
}

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The number of the account.
    pub(crate) account: usize,
    /// The public half of the key.
    pub(crate) key_id: String,
}

impl Account {
    pub(crate) fn new(config: AccountConfig) -> Self {
        Self {
            user_id: config.user_id,
            keys: config.keys,
            meter: SlotMeter::new(config.slots),
            queue: VecDeque::new(),
            low_queue: VecDeque::new(),
        }
    }

    pub(crate) fn queued(&self) -> usize {
        self.queue.len() + self.low_queue.len()
    }

    /// The queue that a request of such a priority waits in.
    pub(crate) fn line(&mut self, low_priority: bool) -> &mut VecDeque<(u64, usize)> {
        if low_priority { &mut self.low_queue } else { &mut self.queue }
    }
}

/// Finds the account that a key opens.
pub(crate) fn of_key(accounts: &[Account], key: &str) -> Option<Caller> {
    let (id, secret) = key.split_once(':')?;
    if id.is_empty() || secret.is_empty() {
        return None;
    }
    let named = accounts.iter().position(|account| account.keys.iter().any(|known| known == key));
    let account = named.or_else(|| accounts[0].keys.is_empty().then_some(0))?;
    Some(Caller { account, key_id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(keys: &[&str]) -> Account {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        Account::new(AccountConfig { user_id: "user".to_owned(), keys, slots: 1 })
    }

    #[test]
    fn a_key_opens_the_account_that_has_it_and_else_the_first_where_that_is_open_to_all() {
        let open = [account(&[]), account(&["b:2"])];
        assert_eq!(of_key(&open, "b:2").unwrap(), Caller { account: 1, key_id: "b".to_owned() });
        assert_eq!(of_key(&open, "x:9").unwrap().account, 0);
        let closed = [account(&["a:1"]), account(&["b:2"])];
        assert_eq!(of_key(&closed, "a:1").unwrap().account, 0);
        for bad in ["x:9", "b:3", "b", ":2", "b:"] {
            assert_eq!(of_key(&closed, bad), None, "{bad}");
        }
    }
}
