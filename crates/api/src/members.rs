//! The members of a body.

use crate::Problem;
pub(crate) use submitter::Members;

/// Reads an object; nothing at all reads as an empty one. Whoever takes its members refuses repeats, since they are left over.
pub(crate) fn members(body: &[u8]) -> Result<Members<'_>, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Members(Vec::new()));
    }
    Members::parse(body).map_err(|error| Problem::fields(vec![error]))
}
