//! What fal can be asked of each account, by the account's own key.

use crate::{bills::Bills, history::History};
use accounts::{Accounts, NoClient};
use domain::CredentialId;
use fal::QueueClient;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Client, history and bills of one account. Clones share what was learnt of it.
#[derive(Clone, Debug)]
pub struct Book {
    pub fal: Arc<QueueClient>,
    pub history: History,
    /// Asked about unknown attempts where there is no history.
    pub bills: Bills,
}

/// The books of all accounts. Cheap to clone; all clones share them.
#[derive(Clone, Debug)]
pub struct Books {
    accounts: Accounts,
    fresh: Duration,
    kept: Arc<Mutex<HashMap<CredentialId, Book>>>,
}

impl Books {
    /// What was read of a history less than `fresh` ago counts for a look.
    pub fn new(accounts: Accounts, fresh: Duration) -> Self {
        Self { accounts, fresh, kept: Arc::default() }
    }

    /// The book of one account. A new key begins a new one, since fal may list to it what it refused to the old.
    ///
    /// # Errors
    /// When there is no such account, or its key does not open.
    pub async fn of(&self, id: CredentialId) -> Result<Book, NoClient> {
        let fal = self.accounts.client(id).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(book) = kept.get(&id).filter(|book| Arc::ptr_eq(&book.fal, &fal)) {
            return Ok(book.clone());
        }
        let history = History::new(Arc::clone(&fal), self.fresh);
        let book = Book { history, bills: Bills::new(Arc::clone(&fal)), fal };
        kept.insert(id, book.clone());
        Ok(book)
    }

    /// Every account that fal can be asked about, disabled or not.
    pub fn accounts(&self) -> Vec<CredentialId> {
        self.accounts.usable()
    }
}
