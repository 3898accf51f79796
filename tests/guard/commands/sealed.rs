//! Encrypted backups: nothing readable is left behind, a run needs no key but its own, and a person's key opens what is old.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use guard::system::cipher::new_identity;

use super::elsewhere::{elsewhere, known, objects, settings, storage};
use crate::support::cluster::Cluster;
use crate::support::embedded::{Embedded, end, signal, until};
use crate::support::mariadb::Server;
use crate::support::program::Program;

/// A project whose backups are encrypted, and the file of the identity that is not on the host.
struct Vault {
    project: Embedded,
    identity: PathBuf,
    secret: String,
}

impl Vault {
    fn new(more: &str) -> Self {
        let (identity, recipient) = new_identity();
        let project = Embedded::and(&format!("[encryption]\nrecipients = [\"{recipient}\"]\n{more}"));
        let path = project.root().join("offline.key");
        std::fs::write(&path, &identity).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self {
            secret: identity.lines().last().unwrap().to_owned(),
            project,
            identity: path,
        }
    }

    fn with_key(&self) -> Program {
        self.project
            .guard()
            .env("GUARD_IDENTITY", self.identity.to_str().unwrap())
    }

    fn backup(&self, name: &str) -> PathBuf {
        self.project.state().join("backups").join(name)
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

/// Every copy is encrypted; what is not is the manifest and what tells of it.
#[track_caller]
fn is_shut(backup: &Path) {
    let mut sealed = 0;
    for path in files(backup) {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.parent() == Some(backup) {
            assert!(!bytes.windows(9).any(|part| part == b"TOKEN=one"), "{name}");
            continue;
        }
        assert!(
            path.extension().is_some_and(|end| end == "age") && bytes.starts_with(b"age-encryption.org/v1\n"),
            "{name}"
        );
        sealed += 1;
    }
    assert!(sealed >= 6, "{sealed}");
}

fn identities(project: &Embedded) -> Vec<PathBuf> {
    let kept = files(&project.state());
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(15).any(|part| part == b"AGE-SECRET-KEY-")
    };
    kept.into_iter().filter(holds).collect()
}

#[test]
fn fault_m12_a_run_goes_back_with_a_key_of_its_own() {
    let vault = Vault::new("");
    let project = &vault.project;
    let before = project.everything();
    let ran = project
        .guard()
        .run(&["deploy", "--", "./deploy.sh", "all", "sick"])
        .expect(21);
    assert_eq!(project.everything(), before);
    assert!(!ran.everything().contains("AGE-SECRET"));
    let backup = project.backups().remove(0);
    is_shut(&vault.backup(&backup));
    assert_eq!(identities(project), Vec::<PathBuf>::new(), "the run is over");
    assert!(!project.newest_run().join("opened").exists());
    // What was put aside is still there, and needs no key.
    project.guard().run(&["rollback", "--undo", "--yes"]).expect(32);
    assert!(project.everything() != before);
}

#[test]
fn fault_m12_a_killed_run_still_has_its_key() {
    let vault = Vault::new("");
    let project = &vault.project;
    let before = project.everything();
    let mut child = project
        .guard()
        .start(&["deploy", "--no-watcher", "--", "./deploy.sh", "all", "sleep 60"]);
    until(|| !project.deployments().is_empty());
    let config = project.directory().join("conf/app.conf");
    until(|| std::fs::read_to_string(&config).unwrap().contains("version=2"));
    signal(&child, rustix::process::Signal::KILL);
    end(&mut child);
    let kept = identities(project);
    assert_eq!(kept, [project.newest_run().join("identity")]);
    assert_eq!(kept[0].metadata().unwrap().mode() & 0o777, 0o600);
    project.guard().run(&["resume"]).expect(20);
    assert_eq!(project.everything(), before);
    assert_eq!(identities(project), Vec::<PathBuf>::new());
}

#[test]
fn fault_m12_an_old_backup_needs_the_identity_of_a_recipient() {
    let vault = Vault::new("");
    let project = &vault.project;
    let before = project.everything();
    project.guard().run(&["backup"]).expect(0);
    let backup = project.backups().remove(0);
    is_shut(&vault.backup(&backup));
    let shown = project.guard().run(&["show", &backup]).expect(0).stdout;
    assert!(shown.contains("encrypted    for age1"), "{shown}");
    project.sh("./deploy.sh all");
    let after = project.everything();
    let words = ["rollback", "--yes", "--backup-timestamp", &backup];
    let ran = project.guard().run(&words).expect(10);
    ran.says("GUARD_IDENTITY=FILE")
        .says("there is no identity here that opens it");
    project
        .guard()
        .run(&["verify", &backup])
        .expect(0)
        .says("not decrypted");

    let strange = project.root().join("strange.key");
    std::fs::write(&strange, new_identity().0).unwrap();
    let stranger = project.guard().env("GUARD_IDENTITY", strange.to_str().unwrap());
    stranger
        .run(&words)
        .expect(10)
        .says("none of the identities here opens it");
    stranger
        .run(&["check"])
        .expect(10)
        .says("belongs to none of the recipients");
    std::fs::write(&strange, "not a key\n").unwrap();
    stranger.run(&["check"]).expect(10).says("line 1 is no identity");
    std::fs::remove_file(&strange).unwrap();
    stranger.run(&["check"]).expect(10).says("is not there");
    assert_eq!(project.everything(), after, "nothing was begun");

    let ran = vault.with_key().run(&["verify", &backup]).expect(0).says("db: sound");
    assert!(!ran.everything().contains(&vault.secret));
    vault.with_key().run(&words).expect(0);
    assert_eq!(project.everything(), before);
    assert_eq!(identities(project), Vec::<PathBuf>::new(), "a person's key is not kept");

    // What is encrypted is compared like anything else, and with the key and without.
    let largest = files(&vault.backup(&backup).join("db")).pop().unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    project.guard().run(&["verify", &backup]).expect(40).says("SHA-256");
    vault.with_key().run(&["verify", &backup]).expect(40);
}

#[test]
fn fault_m12_what_cannot_be_encrypted_is_not_written_plain() {
    let vault = Vault::new("");
    let project = &vault.project;
    let list = project.root().join("recipients");
    project.sh(&format!(
        "sed -i 's,^recipients = .*,recipients_file = \"{}\",' guard.toml",
        list.display()
    ));
    for text in [
        None,
        Some("# nobody\n"),
        Some("age1nonsense\n"),
        Some("ssh-ed25519 AAAA me\n"),
    ] {
        if let Some(text) = text {
            std::fs::write(&list, text).unwrap();
        }
        project.guard().run(&["backup"]).expect(10).says("encryption");
        assert!(project.backups().is_empty());
    }
    std::fs::write(&list, format!("{}\n# and\n{}\n", new_identity().1, new_identity().1)).unwrap();
    project.guard().run(&["backup"]).expect(0);
    is_shut(&vault.backup(&project.backups()[0]));
}

#[test]
fn a_backup_is_restored_by_age_tar_and_zstd_alone() {
    let vault = Vault::new("");
    let project = &vault.project;
    let before = project.everything();
    project.guard().run(&["backup"]).expect(0);
    let backup = vault.backup(&project.backups()[0]);
    let script = "set -eu; cp -a \"$1\" \"$2\"; cd \"$2\"; sha256sum --quiet -c SHA256SUMS
        find . -name '*.age' -exec sh -c 'age -d -i \"$0\" -o \"${1%.age}\" \"$1\"' \"$3\" {} ';'
        mkdir objects/back; zstd -dcq objects/data.tar.zst | tar -xpf - -C objects/back
        cp db/database.sqlite \"$4/app.db\"; rm -rf \"$4/objects\"; mv objects/back \"$4/objects\"
        python3 -c \"import json, shutil, sys
for entry in json.load(open('config/files.json')):
    print(entry)
\"";
    project.sh("./deploy.sh all");
    let opened = project.root().join("opened");
    let ran = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&backup, &opened, &vault.identity, &project.directory()])
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("app.conf"));
    let after = project.everything();
    assert_eq!(
        (&after["rows"], &after["objects"]),
        (&before["rows"], &before["objects"])
    );
}

#[test]
fn an_encrypted_backup_outlives_its_host() {
    let storage = storage();
    let vault = Vault::new(&settings(storage.port()));
    let project = &vault.project;
    let before = project.everything();
    known(project.guard()).run(&["backup"]).expect(0);
    // On a machine that is busy the copy after the run may have given up.
    known(project.guard()).run(&["copy"]).expect(0);
    let backup = project.backups().remove(0);
    for path in objects(&storage, "files") {
        let bytes = std::fs::read(&path).unwrap();
        // The settings are plain; all else is not.
        let is_plain = bytes.starts_with(b"[resources.db]");
        assert!(is_plain || bytes.starts_with(b"age-encryption.org/v1\n"), "{path:?}");
    }
    let fresh = project.root().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::copy(project.state().join("key"), fresh.join("key")).unwrap();
    let guard = elsewhere(project, &fresh);
    guard.run(&["fetch", &backup]).expect(0).says("is here, whole");
    guard.run(&["verify", &backup]).expect(0).says("not decrypted");
    project.sh("./deploy.sh all");
    let words = [
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
        "--only",
        "db,objects,config",
    ];
    guard.run(&words).expect(10).says("GUARD_IDENTITY=FILE");
    let guard = guard.env("GUARD_IDENTITY", vault.identity.to_str().unwrap());
    guard.run(&words).expect(0);
    let after = project.everything();
    for part in ["rows", "objects", "config"] {
        assert_eq!(after[part], before[part]);
    }
}

#[test]
fn chunks_are_shared_where_an_identity_reads_them() {
    let vault = Vault::new("");
    let project = &vault.project;
    project.sh("sed -i 's,^path = \"objects\",path = \"objects\"\\nform = \"chunks\",' guard.toml; head -c 9000000 /dev/urandom > objects/large; touch -d '1 hour ago' objects/*; sleep 3");
    let pack = |number: usize| {
        vault
            .backup(&project.backups()[number])
            .join("objects/data-0001.pack.age")
    };
    project.guard().run(&["backup"]).expect(0);
    project.guard().run(&["backup"]).expect(0).says("stored anew");
    assert_eq!(pack(0).metadata().unwrap().nlink(), 1);
    let before = project.everything();
    vault.with_key().run(&["backup"]).expect(0);
    assert_eq!(pack(0).metadata().unwrap().nlink(), 2, "the pack of the backup before");
    is_shut(&vault.backup(&project.backups()[0]));
    let ran = vault
        .with_key()
        .run(&["deploy", "--", "./deploy.sh", "rm objects/large", "all", "sick"])
        .expect(21);
    ran.says("entries are put back");
    assert_eq!(project.everything()["objects"], before["objects"]);
    // Shared with all before it, and for as long as one of the recipients has a key.
    let listed = project.guard().run(&["list"]).expect(0).stdout;
    assert!(listed.contains(" of ") && listed.contains("together"), "{listed}");
}

#[test]
fn fault_m11_no_plugin_of_age_is_ever_run() {
    let lock = include_str!("../../../Cargo.lock");
    // What the plugin support of the crate, and its questions at a terminal, would bring.
    for name in ["which", "wsl", "pinentry", "rpassword", "rsa"] {
        assert!(!lock.contains(&format!("name = \"{name}\"\n")), "{name}");
    }
    let manifest = include_str!("../../../Cargo.toml");
    let age = manifest.lines().find(|line| line.starts_with("age = ")).unwrap();
    assert!(
        age.contains("default-features = false") && !age.contains(" features = "),
        "{age}"
    );

    let vault = Vault::new("");
    let project = &vault.project;
    let programs = project.root().join("bin");
    std::fs::create_dir(&programs).unwrap();
    let plugin = programs.join("age-plugin-trap");
    let trace = project.root().join("it-was-run");
    std::fs::write(&plugin, format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let identity = project.root().join("plugin.key");
    std::fs::write(&identity, "AGE-PLUGIN-TRAP-1QQPSQQGC\n").unwrap();
    let guard = || project.guard().env("PATH", &path);
    guard()
        .env("GUARD_IDENTITY", identity.to_str().unwrap())
        .run(&["check"])
        .expect(10);
    project.sh("sed -i 's,^recipients = .*,recipients = [\"age1trap1qqpsqq\"],' guard.toml");
    guard().run(&["backup"]).expect(2).says("no recipient of age");
    assert!(!trace.exists());
}

/// The databases of real servers, which are dumped by programs that write into guard's pipe, and by several at once.
#[test]
fn databases_of_servers_are_encrypted_and_come_back() {
    let (postgres, mariadb) = (Cluster::start(), Server::start());
    let fill = "CREATE TABLE t (id int PRIMARY KEY, word varchar(40)); INSERT INTO t VALUES (1, 'TOKEN=one');";
    postgres.create("shop", fill);
    postgres.create("books", fill);
    mariadb.create("shop", fill);
    let vault = Vault::new(&format!(
        "[resources.rows]\nkind = \"postgres\"\nurl = \"{}\"\n[resources.books]\nkind = \"postgres\"\nurl = \"{}\"\njobs = 2\n\
         [resources.maria]\nkind = \"mariadb\"\nurl = \"{}\"\n",
        postgres.url("shop"),
        postgres.url("books"),
        mariadb.url("shop")
    ));
    let project = &vault.project;
    // Their passwords are in it.
    project.sh("chmod 600 guard.toml");
    project.guard().run(&["backup"]).expect(0);
    let backup = project.backups().remove(0);
    is_shut(&vault.backup(&backup));
    let all = || {
        [
            postgres.observe("shop"),
            postgres.observe("books"),
            mariadb.observe("shop"),
        ]
    };
    let before = all();
    for database in ["shop", "books"] {
        postgres.sql(database, "UPDATE t SET word = 'spoilt'; CREATE TABLE more (id int);");
    }
    mariadb.sql("shop", "UPDATE t SET word = 'spoilt'; CREATE TABLE more (id int);");
    let spoilt = all();
    let words = [
        "rollback",
        "--yes",
        "--backup-timestamp",
        &backup,
        "--only",
        "rows,books,maria",
    ];
    project.guard().run(&words).expect(10).says("GUARD_IDENTITY=FILE");
    assert_eq!(all(), spoilt, "nothing was begun");
    vault.with_key().run(&words).expect(0);
    assert_eq!(all(), before);
}
