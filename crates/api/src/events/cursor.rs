//! Where a page of the feed ended, as a word that its reader hands back. It is good for one project and one consumer.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{ConsumerId, ProjectId};
use sha2::{Digest, Sha256};
use store::events::{Acknowledgement, Position};
use uuid::Uuid;

/// The first byte: how the rest is written.
const VERSION: u8 = 1;
/// Version, epoch, transaction, event, missed events.
const FIELDS: usize = 1 + 2 + 8 + 16 + 8;
/// What tells it from another reader's and from garbage. It keeps nobody from anything: a reader may skip what is its own.
const CHECK: usize = 8;

/// Writes a cursor; `consumer` is nothing for who keeps their own position.
pub(crate) fn write(project: ProjectId, consumer: Option<ConsumerId>, what: Acknowledgement) -> String {
    let mut bytes = Vec::with_capacity(FIELDS + CHECK);
    bytes.push(VERSION);
    bytes.extend(what.position.epoch.to_be_bytes());
    bytes.extend(what.position.xact.to_be_bytes());
    bytes.extend(what.position.id.as_bytes());
    bytes.extend(what.missed.to_be_bytes());
    let check = check(project, consumer, &bytes);
    bytes.extend(check);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor that [`write()`] wrote for the same reader.
pub(crate) fn read(text: &str, project: ProjectId, consumer: Option<ConsumerId>) -> Option<Acknowledgement> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (fields, told) = bytes.split_at_checked(FIELDS)?;
    if told != check(project, consumer, fields) {
        return None;
    }
    let (version, rest) = fields.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (xact, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    let missed = rest.first_chunk()?;
    let position =
        Position { epoch: i16::from_be_bytes(*epoch), xact: u64::from_be_bytes(*xact), id: Uuid::from_bytes(*id) };
    (*version == VERSION).then(|| Acknowledgement { position, missed: i64::from_be_bytes(*missed) })
}

fn check(project: ProjectId, consumer: Option<ConsumerId>, fields: &[u8]) -> [u8; CHECK] {
    let mut hash = Sha256::new_with_prefix(b"falconer event cursor");
    hash.update(project.0.as_bytes());
    hash.update(consumer.map_or(Uuid::nil(), |id| id.0).as_bytes());
    hash.update(fields);
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.finalize()[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_reader_alone() {
        let (project, consumer) = (ProjectId(store::fresh_id()), Some(ConsumerId(store::fresh_id())));
        let position = Position { epoch: 3, xact: u64::MAX - 1, id: store::fresh_id() };
        let what = Acknowledgement { position, missed: 7 };
        let text = write(project, consumer, what);

        assert_eq!(read(&text, project, consumer), Some(what));
        assert_eq!(read(&text, ProjectId(store::fresh_id()), consumer), None);
        assert_eq!(read(&text, project, Some(ConsumerId(store::fresh_id()))), None);
        assert_eq!(read(&text, project, None), None);
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let project = ProjectId::DEFAULT;
        let text = write(project, None, Acknowledgement { position: Position::BEGINNING, missed: 0 });
        let mut flipped = text.clone().into_bytes();
        flipped[9] ^= 1;
        let flipped = String::from_utf8(flipped).unwrap();

        for text in ["", "x", "AAAA", &flipped, &text[..text.len() - 4], &format!("{text}AAAA"), "%", "\u{fc}"] {
            assert_eq!(read(text, project, None), None, "{text}");
        }
    }
}
