//! Which server and which key come out of what was set where.

use super::*;

fn profiles() -> BTreeMap<String, ProfileConfig> {
    toml::from_str(
        "[near]\nurl = \"http://near\"\nkey = \"flc_near\"\n[far]\nurl = \"http://far\"\nkey_file = \"~/keys/far\"\n\
         [bare]\nurl = \"http://bare\"",
    )
    .unwrap()
}

fn client(text: &str) -> ClientConfig {
    ClientConfig { home: Some(PathBuf::from("/home/ann")), ..toml::from_str(text).unwrap() }
}

/// The URL, and the key or where it is.
fn chosen(client: &ClientConfig) -> (String, String) {
    let server = client.server(&profiles()).unwrap();
    let key = match server.key {
        Some(KeySource::Environment(key) | KeySource::Settings(key)) => key.expose_secret().to_owned(),
        Some(KeySource::File(path)) => path.display().to_string(),
        None => String::new(),
    };
    (server.url.map_or_else(String::new, |url| url.to_string()), key)
}

fn pair(url: &str, key: &str) -> (String, String) {
    (url.to_owned(), key.to_owned())
}

#[test]
fn a_profile_of_a_flag_goes_before_the_environment_and_one_of_a_file_does_not() {
    let mut own = client("url = \"http://env\"\nkey = \"flc_env\"\nprofile = \"near\"");
    (own.url_in_environment, own.key_in_environment) = (true, true);
    assert_eq!(chosen(&own), pair("http://env/", "flc_env"));

    own.chosen_by_flag = Some("far".to_owned());
    assert_eq!(chosen(&own), pair("http://far/", "/home/ann/keys/far"));
}

#[test]
fn a_profile_goes_before_what_the_file_says_beside_it() {
    assert_eq!(chosen(&client("url = \"http://file\"\nkey = \"flc_file\"")), pair("http://file/", "flc_file"));
    let own = client("url = \"http://file\"\nkey = \"flc_file\"\nprofile = \"near\"");
    assert_eq!(chosen(&own), pair("http://near/", "flc_near"));
}

#[test]
fn a_profile_without_a_key_is_asked_with_the_key_that_there_is() {
    let mut own = client("key = \"flc_env\"");
    own.key_in_environment = true;
    own.chosen_by_flag = Some("bare".to_owned());
    assert_eq!(chosen(&own), pair("http://bare/", "flc_env"));
}

#[test]
fn an_unknown_profile_is_refused_with_the_names_that_are_known() {
    let told = client("profile = \"fra\"").server(&profiles()).unwrap_err().to_string();
    assert_eq!(told, "there is no profile fra: the settings name bare, far, near");
}

#[test]
fn a_key_is_read_from_its_file_and_its_readers_are_counted() {
    let path = std::env::temp_dir().join(format!("falconer-key-{}", std::process::id()));
    std::fs::write(&path, "flc_kept\n").unwrap();
    let read = |mode: u32| {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        client("").read_key(&KeySource::File(path.clone())).unwrap()
    };
    let (key, warning) = read(0o600);
    assert_eq!((key.expose_secret(), warning), ("flc_kept", None));
    let (_, warning) = read(0o644);
    assert!(warning.is_some_and(|told| told.contains("chmod 600") && !told.contains("flc_kept")));

    std::fs::write(&path, "two words\n").unwrap();
    let refused = client("").read_key(&KeySource::File(path.clone())).unwrap_err();
    assert!(matches!(refused, ProfileError::NoKey { .. }));
    std::fs::remove_file(&path).unwrap();
}
