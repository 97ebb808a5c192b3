//! How fal accounts are shown. No key is at hand here, sealed or not.

use super::super::{
    exit::Exit,
    output::{self, OutputArgs, second},
};
use anyhow::{Context, Result};
use domain::ProjectId;
use serde_json::{Value, json, value::to_raw_value};
use std::collections::HashMap;
use store::{
    Store,
    credentials::{self, Credential},
    projects,
};

/// Names of projects.
type Names = HashMap<ProjectId, String>;

pub(super) async fn list(store: &Store, output: OutputArgs) -> Result<Exit> {
    let all = credentials::list(store).await.context("failed to read the credentials")?;
    let names = names(store).await?;
    let items = all.iter().map(|one| to_raw_value(&as_json(one, &names))).collect::<Result<Vec<_>, _>>()?;
    let rows = all.iter().map(|one| {
        let project = one.project.and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| "-".to_owned());
        vec![one.id.to_string(), one.name.clone(), project, one.slots.to_string(), key(one), user_id(one), state(one)]
    });
    let heading = ["ID", "NAME", "PROJECT", "SLOTS", "KEY", "USER ID", "STATE"];
    output::print(&output::many(output.format, &items, None, &heading, rows.collect())?);
    Ok(Exit::Done)
}

pub(super) async fn show(store: &Store, one: &Credential, output: OutputArgs) -> Result<Exit> {
    let names = names(store).await?;
    let rows = [
        ("id", one.id.to_string()),
        ("name", one.name.clone()),
        ("project", one.project.and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| "of all projects".to_owned())),
        ("slots", one.slots.to_string()),
        ("key", key(one)),
        ("user id", user_id(one)),
        ("state", state(one)),
        ("created", second(one.created_at)),
    ];
    output::print(&output::one(output.format, &as_json(one, &names).to_string(), &rows));
    Ok(Exit::Done)
}

async fn names(store: &Store) -> Result<Names> {
    let all = projects::list(store).await.context("failed to read the projects")?;
    Ok(all.into_iter().map(|project| (project.id, project.name)).collect())
}

fn as_json(one: &Credential, names: &Names) -> Value {
    json!({
        "id": one.id, "name": one.name, "project": one.project.and_then(|id| names.get(&id)), "slots": one.slots,
        "key_hint": one.key_hint, "user_id": one.user_id, "user_id_source": one.user_id_source,
        "created_at": one.created_at, "updated_at": one.updated_at, "disabled_at": one.disabled_at,
    })
}

fn key(one: &Credential) -> String {
    one.key_hint.as_ref().map_or_else(|| "FAL_KEY".to_owned(), |hint| format!("…{hint}"))
}

fn user_id(one: &Credential) -> String {
    match (&one.user_id, &one.user_id_source) {
        (Some(id), Some(source)) => format!("{id} ({source})"),
        _ => "not known yet".to_owned(),
    }
}

fn state(one: &Credential) -> String {
    one.disabled_at.map_or_else(|| "in use".to_owned(), |at| format!("disabled {}", second(at)))
}
