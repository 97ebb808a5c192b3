//! Profiles: several servers, each with its key.
#![expect(clippy::unwrap_used, reason = "a story's helpers may fail the story")]

use super::{Folder, Said, bare};
use std::os::unix::fs::PermissionsExt as _;
use testkit::World;

async fn run(folder: &Folder, args: &[&str]) -> Said {
    let mut command = bare(args);
    command.env("HOME", &folder.0);
    Said::of(command.output().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_chooses_server_and_key_and_no_list_shows_the_key() {
    let world = World::start().await;
    let id = world.submit_prompt("an owl").await.to_string();
    let folder = Folder::new();
    let key = folder.file("near.key", &format!("{}\n", world.api_key()));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder.file(
        ".config/falconer/falconer.toml",
        &format!(
            "[client]\nprofile = \"far\"\n[profiles.far]\nurl = \"http://127.0.0.1:9\"\nkey = \"flc_hunter2\"\n\
             [profiles.near]\nurl = \"{}\"\nkey_file = \"~/near.key\"\n",
            world.server().api()
        ),
    );

    let said = run(&folder, &["--profile", "near", "jobs", "show", &id, "-o", "json"]).await;
    assert!(said.code == 0 && said.out.contains(&id) && !said.err.contains("warning"), "{said:#?}");
    let said = run(&folder, &["jobs", "show", &id]).await;
    assert!(said.code == 1 && said.err.contains("no answer from http://127.0.0.1:9"), "the file's own: {said:#?}");
    assert!(said.err.contains("falconer.toml holds a key and others may read it: chmod 600"), "{said:#?}");
    let said = run(&folder, &["jobs", "show", &id, "--profile", "fra"]).await;
    assert_eq!((said.code, said.err.trim()), (2, "--profile: there is no profile fra: the settings name far, near"));

    let said = run(&folder, &["profiles", "list", "-o", "jsonl"]).await;
    let lines = said.lines();
    assert_eq!((&lines[0]["name"], &lines[0]["in_force"]), (&"far".into(), &true.into()), "{said:#?}");
    assert_eq!((&lines[1]["key"], &lines[1]["key_file"]), (&"file".into(), &"~/near.key".into()), "{said:#?}");
    for args in [&["profiles", "list"][..], &["profiles", "list", "-o", "json"], &["config", "show"]] {
        let said = run(&folder, args).await;
        assert!(said.code == 0 && !said.out.contains("flc_") && !said.err.contains("flc_"), "{args:?}: {said:#?}");
    }
    world.drain_and_check().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_go_before_the_environment_and_the_environment_before_files() {
    let world = World::start().await;
    let id = world.submit_prompt("an owl").await.to_string();
    let folder = Folder::new();
    folder.file(
        ".config/falconer/falconer.toml",
        "[client]\nurl = \"http://127.0.0.1:9\"\n[profiles.away]\nurl = \"http://127.0.0.1:9\"\n",
    );
    let asked = async |args: &[&str]| {
        let mut command = bare(&[&["jobs", "show", &id], args].concat());
        command.env("HOME", &folder.0).env("FALCONER_CLIENT__KEY", world.api_key());
        command.env("FALCONER_CLIENT__URL", world.server().api());
        command.output().await.unwrap().status.code()
    };

    assert_eq!(asked(&[]).await, Some(0), "the environment goes before the file");
    assert_eq!(asked(&["--profile", "away"]).await, Some(1), "a flag goes before the environment");
    assert_eq!(asked(&["--profile", "away", "--url", &world.server().api()]).await, Some(0), "and --url before all");
    world.drain_and_check().await;
}
