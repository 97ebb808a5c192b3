//! Where a page ended, as a word that callers hand back and do not read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::ProjectId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Whose list a cursor belongs to. It guards nothing: it tells a caller who mixes cursors up.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    pub list: &'static str,
    pub project: ProjectId,
}

impl Owner {
    /// Writes a cursor of this list.
    pub fn write(self, id: Uuid) -> String {
        URL_SAFE_NO_PAD.encode([&id.as_bytes()[..], &self.mark()].concat())
    }

    /// Reads a cursor of this list, and no other.
    pub fn read(self, text: &str) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (id, mark) = bytes.split_at_checked(16)?;
        if mark == self.mark() { Uuid::from_slice(id).ok() } else { None }
    }

    fn mark(self) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new().chain_update(self.list).chain_update(self.project.0).finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }
}

/// Writes a cursor.
pub fn write(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// Reads a cursor that [`write()`] wrote.
pub fn read(text: &str) -> Option<Uuid> {
    Uuid::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
