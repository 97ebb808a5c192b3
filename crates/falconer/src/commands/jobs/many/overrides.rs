//! What flags say of every job that is read: it goes before what stands in the job. Tags and metadata are added to it.

use crate::commands::jobs::{fields::Flag, members::Members};
use bytes::Bytes;

/// Fields by name, each as JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct Overrides(pub(super) Vec<Flag>);

impl Overrides {
    /// Writes a job with what the flags say. What is no object stays as it is, for the server to refuse.
    pub(super) fn apply(&self, job: Bytes) -> Bytes {
        if self.0.is_empty() {
            return job;
        }
        let Ok(members) = serde_json::from_slice::<Members>(&job) else { return job };
        let mut all = members.0;
        for (name, value) in &self.0 {
            match all.iter_mut().find(|(own, _)| own == name) {
                Some((_, own)) => *own = together(name, own, value),
                None => all.push(((*name).to_owned(), value.clone())),
            }
        }
        Members(all).to_json().into()
    }
}

fn together(name: &str, own: &str, flag: &str) -> String {
    let added = match name {
        "tags" => added_tags(own, flag),
        "metadata" => added_members(own, flag),
        _ => None,
    };
    added.unwrap_or_else(|| flag.to_owned())
}

fn added_tags(own: &str, flag: &str) -> Option<String> {
    let mut tags: Vec<String> = serde_json::from_str(own).ok()?;
    for tag in serde_json::from_str::<Vec<String>>(flag).ok()? {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    serde_json::to_string(&tags).ok()
}

fn added_members(own: &str, flag: &str) -> Option<String> {
    let own: Members = serde_json::from_str(own).ok()?;
    let flags: Members = serde_json::from_str(flag).ok()?;
    let kept = own.0.iter().filter(|(name, _)| !flags.0.iter().any(|(flag, _)| flag == name));
    Some(Members(kept.chain(&flags.0).cloned().collect()).to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(job: &str, flags: &[(&'static str, &str)]) -> String {
        let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        String::from_utf8(Overrides(flags).apply(job.to_owned().into()).into()).unwrap()
    }

    #[test]
    fn a_flag_goes_before_the_job_and_fills_what_it_lacks() {
        let job = r#"{"model":"a","input":{"seed":17454220438242315174,"x":1.10}}"#;
        let written = applied(job, &[("model", "\"b\""), ("priority", "3")]);
        assert_eq!(written, r#"{"model":"b","input":{"seed":17454220438242315174,"x":1.10},"priority":3}"#);
        assert_eq!(applied(job, &[]), job);
    }

    #[test]
    fn tags_and_metadata_are_added_to() {
        let written = applied(
            r#"{"tags":["a","b"],"metadata":{"n":1.0,"m":"old"}}"#,
            &[("tags", r#"["b","c"]"#), ("metadata", r#"{"m":"new"}"#)],
        );
        assert_eq!(written, r#"{"tags":["a","b","c"],"metadata":{"n":1.0,"m":"new"}}"#);
    }

    #[test]
    fn what_is_no_object_and_what_is_there_twice_is_left_to_the_server() {
        assert_eq!(applied("{broken", &[("priority", "3")]), "{broken");
        assert_eq!(applied("[1]", &[("priority", "3")]), "[1]");
        assert_eq!(applied(r#"{"input":1,"input":2}"#, &[("priority", "3")]), r#"{"input":1,"input":2,"priority":3}"#);
    }
}
