//! Clusters as their callers see them. Each test runs a real server.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

mod common;

use std::fs;
use std::path::Path;

use common::{Scratch, query, shell};
use dev_postgres::{Cluster, ClusterOptions, Durability};

fn options(dir: &Path, durability: Durability) -> ClusterOptions {
    ClusterOptions { dir: dir.to_owned(), durability, settings: Vec::new(), port: 5432 }
}

#[test]
fn a_temporary_cluster_answers_and_leaves_nothing() {
    let cluster = Cluster::temporary(vec![("max_connections".into(), "33".into())]).unwrap();
    let dir = cluster.dir().to_owned();

    assert_eq!(query(&cluster, "postgres", "show max_connections"), "33");
    assert_eq!(query(&cluster, "postgres", "show fsync"), "off");
    let pid = common::postmaster(&dir.join("data"));
    cluster.stop().unwrap();

    assert!(!common::is_postgres(pid));
    assert!(!dir.exists());
}

#[test]
fn a_durable_cluster_keeps_its_data_and_postgres_own_durability() {
    let scratch = Scratch::new("reuse");
    let options = options(scratch.path(), Durability::Durable);

    let first = Cluster::start(options.clone()).unwrap();
    query(&first, "postgres", "create table kept as select 7 as x");
    first.stop().unwrap();
    let second = Cluster::start(options).unwrap();

    assert_eq!(query(&second, "postgres", "select x from kept"), "7");
    let unsafe_settings = "select count(*) from pg_settings where setting = 'off' \
        and name in ('fsync', 'synchronous_commit', 'full_page_writes')";
    assert_eq!(query(&second, "postgres", unsafe_settings), "0");
}

#[test]
fn dropping_a_cluster_stops_the_server_and_keeps_the_files() {
    let scratch = Scratch::new("drop");
    let cluster = Cluster::start(options(scratch.path(), Durability::ThrowAway)).unwrap();
    let pid = common::postmaster(&scratch.path().join("data"));

    drop(cluster);

    assert!(!common::is_postgres(pid));
    assert!(scratch.path().join("data/PG_VERSION").exists());
}

#[test]
fn an_immediate_restart_loses_sessions_and_no_commit() {
    let mut cluster = Cluster::temporary(Vec::new()).unwrap();
    query(&cluster, "postgres", "create table kept as select 7 as x");
    let before = common::postmaster(&cluster.dir().join("data"));

    cluster.restart_immediate().unwrap();

    let after = common::postmaster(&cluster.dir().join("data"));
    assert_ne!(before, after);
    assert_eq!(query(&cluster, "postgres", "select x from kept"), "7");
    let log = fs::read_to_string(cluster.dir().join("run/postgres.log")).unwrap();
    assert!(log.contains("automatic recovery in progress"), "{log}");
}

#[test]
fn creating_a_database_twice_or_by_an_odd_name_works() {
    let cluster = Cluster::temporary(Vec::new()).unwrap();

    for name in ["falconer", "falconer", r#"a "b'; c"#] {
        cluster.create_database(name).unwrap();
        assert_eq!(query(&cluster, name, "select current_database()"), name);
    }
}

#[test]
fn a_second_process_is_told_that_the_cluster_is_taken() {
    let scratch = Scratch::new("taken");
    let options = options(scratch.path(), Durability::ThrowAway);
    let _first = Cluster::start(options.clone()).unwrap();

    let error = Cluster::start(options).unwrap_err();

    assert!(error.to_string().contains("another process"), "{error:#}");
}

#[test]
fn a_long_path_with_spaces_works() {
    let scratch = Scratch::new("long");
    let dir = scratch.path().join(format!("a b{}", "c".repeat(120)));

    let cluster = Cluster::start(options(&dir, Durability::ThrowAway)).unwrap();

    assert_eq!(query(&cluster, "postgres", "select 1"), "1");
}

#[test]
fn a_server_whose_supervisor_was_killed_is_replaced() {
    let scratch = Scratch::new("orphan");
    let options = options(scratch.path(), Durability::ThrowAway);
    let first = Cluster::start(options.clone()).unwrap();
    let pid = common::postmaster(&scratch.path().join("data"));
    let supervisor = common::parent(pid).unwrap();
    let watcher = common::children(supervisor).find(|&child| child != pid).unwrap();
    shell(&format!("kill -KILL {supervisor} {watcher}"));
    drop(first);
    assert!(common::is_postgres(pid), "the orphan this test is about");

    let second = Cluster::start(options).unwrap();

    assert!(!common::is_postgres(pid));
    assert_eq!(query(&second, "postgres", "select 1"), "1");
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let error = Cluster::temporary(vec![("shared_buffers".into(), "nonsense".into())]).unwrap_err();

    assert!(error.to_string().contains("shared_buffers"), "{error:#}");
}
