//! What is handed in about fal accounts. A complaint names the field and its rule, and never repeats a key.

use crate::{
    Problem,
    members::{Members, members},
};
use accounts::FalKey;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use store::projects;
use submitter::FieldError;
use utoipa::ToSchema;

pub(super) const SLOTS_MAX: u32 = 100_000;
const USER_ID_MAX: usize = 200;
const NAME_RULE: &str = "must be 1 to 63 of a-z, 0-9, _ and -, a letter or digit first";
const USER_ID_RULE: &str = "must have 1 to 200 characters, none of them control characters";

/// A fal account to add.
#[derive(Deserialize, ToSchema)]
#[schema(example = new_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct NewCredentialRequest {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    name: String,
    /// As fal shows it, `id:secret`. Sealed at once, and in no answer.
    #[schema(pattern = "^[!-9;-~]+:[!-~]{16,}$", max_length = 512)]
    key: String,
    /// How many runs the account allows at once.
    #[schema(minimum = 1, maximum = 100_000, default = 2)]
    slots: Option<u32>,
    /// The user id that its callbacks must be signed for. Without it, it is learnt from the first three that agree.
    #[schema(min_length = 1, max_length = 200)]
    user_id: Option<String>,
    /// Whose account it is, by id or name: no other project sees it, and it pays for this one's new jobs.
    project: Option<String>,
}

/// The new key of an account.
#[derive(Deserialize, ToSchema)]
#[schema(example = key_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct RotateCredentialRequest {
    /// As fal shows it, `id:secret`. Of the same account: another one is another credential.
    #[schema(pattern = "^[!-9;-~]+:[!-~]{16,}$", max_length = 512)]
    key: String,
}

/// What is to change of an account.
#[derive(Deserialize, ToSchema)]
#[schema(example = slots_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct ChangeCredentialRequest {
    /// How many runs the account allows at once.
    #[schema(minimum = 1, maximum = 100_000)]
    slots: u32,
}

/// Whom callbacks must be signed for: either of the two.
#[derive(Deserialize, ToSchema)]
#[schema(example = repin_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct RepinCredentialRequest {
    #[schema(min_length = 1, max_length = 200)]
    user_id: Option<String>,
    /// `true` forgets the pinned one, to be learnt afresh from the next three callbacks that agree.
    forget: Option<bool>,
}

/// Whose new jobs an account is to pay for.
#[derive(Deserialize, ToSchema)]
#[schema(example = assign_example)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the type describes what is read by hand, and is never built")]
pub(crate) struct AssignCredentialRequest {
    /// The project's id or name.
    project: String,
}

/// What was handed in, every rule checked.
pub(super) struct New {
    pub(super) name: String,
    pub(super) key: FalKey,
    pub(super) slots: u32,
    pub(super) user_id: Option<String>,
    pub(super) project: Option<String>,
}

pub(super) fn new(body: &[u8]) -> Result<New, Problem> {
    let mut fields = Fields::parse(body)?;
    let name = fields.required("name", NAME_RULE, |name: &String| projects::is_name(name));
    let key = fields.key();
    let slots = fields.optional("slots", &slots_rule(), are_slots);
    let user_id = fields.optional("user_id", USER_ID_RULE, |text: &String| is_user_id(text));
    let project = fields.optional("project", "must be the id or name of a project", |_: &String| true);
    fields.finish()?;
    match (name, key) {
        (Some(name), Some(key)) => Ok(New { name, key, slots: slots.unwrap_or(2), user_id, project }),
        _ => Err(Problem::field("body", "must be complete")),
    }
}

pub(super) fn key(body: &[u8]) -> Result<FalKey, Problem> {
    let mut fields = Fields::parse(body)?;
    let key = fields.key();
    fields.finish()?;
    key.ok_or_else(|| Problem::field("key", "is required"))
}

pub(super) fn slots(body: &[u8]) -> Result<u32, Problem> {
    let mut fields = Fields::parse(body)?;
    let slots = fields.required("slots", &slots_rule(), are_slots);
    fields.finish()?;
    slots.ok_or_else(|| Problem::field("slots", slots_rule()))
}

/// The user id to pin; nothing where the pinned one is to be forgotten.
pub(super) fn repin(body: &[u8]) -> Result<Option<String>, Problem> {
    let mut fields = Fields::parse(body)?;
    let user_id = fields.optional("user_id", USER_ID_RULE, |text: &String| is_user_id(text));
    let forget = fields.optional("forget", "must be true or missing", |forget: &bool| *forget);
    fields.finish()?;
    match (user_id, forget) {
        (Some(user_id), None) => Ok(Some(user_id)),
        (None, Some(_)) => Ok(None),
        _ => Err(Problem::field("user_id", "must be there, or else `forget`")),
    }
}

pub(super) fn project(body: &[u8]) -> Result<String, Problem> {
    const RULE: &str = "must be the id or name of a project";
    let mut fields = Fields::parse(body)?;
    let project = fields.required("project", RULE, |_: &String| true);
    fields.finish()?;
    project.ok_or_else(|| Problem::field("project", RULE))
}

/// The members of a body that nobody has taken yet, and what was wrong with those that were.
struct Fields<'a> {
    left: Members<'a>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        // The parser's complaint may quote the body, and the body may hold a key.
        let left = members(body).map_err(|_| Problem::field("body", "must be a JSON object"))?;
        Ok(Self { left, errors: Vec::new() })
    }

    fn optional<T: DeserializeOwned>(&mut self, name: &str, rule: &str, is_usable: impl Fn(&T) -> bool) -> Option<T> {
        let value = self.left.take(name)?;
        let value = serde_json::from_str(value.get()).ok().filter(|value| is_usable(value));
        if value.is_none() {
            self.errors.push(FieldError::new(name, rule));
        }
        value
    }

    fn required<T: DeserializeOwned>(&mut self, name: &str, rule: &str, is_usable: impl Fn(&T) -> bool) -> Option<T> {
        if !self.left.has(name) {
            self.errors.push(FieldError::new(name, "is required"));
        }
        self.optional(name, rule, is_usable)
    }

    fn key(&mut self) -> Option<FalKey> {
        let text: SecretString = self.required("key", "must be a string", |_| true)?;
        FalKey::parse(text).map_err(|rule| self.errors.push(FieldError::new("key", rule.to_string()))).ok()
    }

    fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.left.0 {
            self.errors.push(FieldError::new(&name.escape_debug().to_string(), "is not a field of this request"));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::fields(self.errors)) }
    }
}

fn slots_rule() -> String {
    format!("must be a whole number from 1 to {SLOTS_MAX}")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "a rule looks at a value and does not take it")]
fn are_slots(slots: &u32) -> bool {
    (1..=SLOTS_MAX).contains(slots)
}

fn is_user_id(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= USER_ID_MAX && !text.chars().any(char::is_control)
}

fn new_example() -> Value {
    json!({"name": "studio", "key": "3f1c0de2-0000-4000-8000-000000000001:0123456789abcdef0123456789abcdef", "slots": 10})
}

fn key_example() -> Value {
    json!({"key": "3f1c0de2-0000-4000-8000-000000000002:fedcba9876543210fedcba9876543210"})
}

fn slots_example() -> Value {
    json!({"slots": 20})
}

fn repin_example() -> Value {
    json!({"forget": true})
}

fn assign_example() -> Value {
    json!({"project": "default"})
}
