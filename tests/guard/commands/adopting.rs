//! Backups that somebody made by hand, with `pg_dump`, `tar` and a file of lines: gone back to like any other.

use std::path::PathBuf;
use std::process::Command;

use crate::support::cluster::{Cluster, PASSWORD};
use crate::support::program::{Program, Ran};

const TS: &str = "20250404_040404";

/// A project with a real database, a directory and a repository, and what an older script left of them.
struct Project {
    root: tempfile::TempDir,
    cluster: Option<Cluster>,
}

fn sh(directory: &std::path::Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Project {
    fn new() -> Self {
        Self::with(Some(Cluster::start()))
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    fn with(cluster: Option<Cluster>) -> Self {
        let root = tempfile::Builder::new().prefix("guard-adopt-").tempdir().unwrap();
        let mut settings = "verify = \"none\"\n[resources.objects]\nkind = \"volume\"\npath = \"objects\"\n[resources.code]\nkind = \"git\"\n\
             [policy]\ndata_restore = \"always\"\n"
            .to_owned();
        if let Some(cluster) = &cluster {
            cluster.create(
                "shop",
                "CREATE TABLE users (id bigserial PRIMARY KEY, name text);
                 INSERT INTO users (name) SELECT 'user ' || n || E'\\n\\\\restrict x' FROM generate_series(1, 500) n;",
            );
            let url = cluster.url("shop");
            settings = format!("{settings}[resources.db]\nkind = \"postgres\"\nurl = \"{url}\"\n");
        }
        let project = Self { root, cluster };
        std::fs::create_dir(project.directory()).unwrap();
        std::fs::write(project.directory().join("guard.toml"), settings).unwrap();
        project.sh(
            "chmod 600 guard.toml; printf '%s\\n' objects backups .last-deployment-backup > .gitignore; mkdir -p objects/sub backups
             echo a > objects/a.txt; echo b > 'objects/sub/odd name'; ln objects/a.txt objects/0-same; ln -s a.txt objects/link
             chmod 640 objects/a.txt; touch -d '2020-02-02 02:02:02.25 UTC' objects/a.txt; echo 1 > code.txt
             git init --quiet --initial-branch=main . && git add .gitignore code.txt && git -c user.name=t -c user.email=t@example.invalid commit --quiet -m one",
        );
        project
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("project")
    }

    fn sh(&self, script: &str) -> String {
        sh(&self.directory(), script)
    }

    fn guard(&self) -> Program {
        Program::new(&self.directory(), &self.root.path().join("state"))
    }

    fn dump(&self, gzip: bool) -> PathBuf {
        let name = format!("db_backup_{TS}.sql");
        let output = Command::new("pg_dump")
            .args(["-d", &self.cluster().url("shop")])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        assert!(output.status.success());
        let path = self.directory().join("backups").join(&name);
        std::fs::write(&path, output.stdout).unwrap();
        if gzip {
            self.sh(&format!("gzip backups/{name}"));
            return path.with_extension("sql.gz");
        }
        path
    }

    /// What a script leaves: a dump, an archive, and lines that name them and the commit.
    fn back_up_by_hand(&self) {
        self.dump(true);
        self.sh(&format!(
            "mkdir 'backups/by hand'; tar czf 'backups/by hand/minio_data.tar.gz' objects
             echo 'services: {{}}' > backups/compose_{TS}.yml
             printf '%s\\n' DEPLOYMENT_TIMESTAMP={TS} \"BACKUP_DIR='backups/by hand'\" MINIO_BACKUP_FILE=minio_data.tar.gz \\
                 GIT_COMMIT=$(git rev-parse --short=10 HEAD) GIT_BRANCH=main > .last-deployment-backup"
        ));
    }

    /// What a bad release does.
    fn spoil(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.sql(
                "shop",
                "ALTER TABLE users ADD COLUMN mail text; DELETE FROM users WHERE id > 10; CREATE TABLE junk (i int);",
            );
        }
        self.sh(
            "rm objects/a.txt; echo new > objects/new; echo changed > 'objects/sub/odd name'; echo 2 > code.txt; echo mine > untracked.txt
             git -c user.name=t -c user.email=t@example.invalid commit --quiet -am two",
        );
    }

    fn everything(&self) -> String {
        let tree = "cd objects && find . -printf '%p %y %m %s %n %l\\n' | grep -v '^./.guard-' | sed 's/^\\(.* d [0-9]*\\) .*/\\1/' | sort && find . -type f | grep -v '^./.guard-' | sort | xargs -d '\\n' md5sum";
        format!(
            "{}\n{}\n{}",
            self.cluster
                .as_ref()
                .map(|cluster| cluster.observe("shop"))
                .unwrap_or_default(),
            self.sh(tree),
            self.sh("git rev-parse HEAD; git symbolic-ref HEAD; cat code.txt; git status --porcelain -uno")
        )
    }

    fn rollback(&self, args: &[&str]) -> Ran {
        let mut words = vec!["rollback", "--backup-timestamp", TS];
        words.extend(args);
        self.guard().run(&words)
    }
}

#[test]
fn a_backup_made_by_hand_is_gone_back_to_and_undone() {
    let project = Project::new();
    let before = project.everything();
    project.back_up_by_hand();
    project.spoil();
    let spoilt = project.everything();
    let shown = project.rollback(&["--dry-run"]).expect(0).stdout;
    for text in [
        "db_backup_",
        "minio_data.tar.gz",
        "commit",
        "Not taken",
        "compose_",
        "Not proven",
    ] {
        assert!(shown.contains(text), "{text:?} in:\n{shown}");
    }
    project.rollback(&["--yes"]).expect(2).says("--trust-foreign");
    project.rollback(&["--trust-foreign"]).expect(2).says("--yes");
    assert_eq!(project.everything(), spoilt, "nothing was touched so far");

    let ran = project.rollback(&["--yes", "--trust-foreign"]).expect(0);
    assert_eq!(project.everything(), before, "{}", ran.everything());
    assert_eq!(
        project.sh("cat untracked.txt"),
        "mine",
        "what git does not track was nobody's to take"
    );
    let listed = project.guard().run(&["list"]).expect(0).stdout;
    assert!(listed.contains("made by hand, taken over from"), "{listed}");
    assert!(!listed.contains("foreign"), "{listed}");
    project.guard().run(&["verify", TS]).expect(0);

    project.guard().run(&["rollback", "--undo", "--yes"]).expect(0);
    assert_eq!(project.everything(), spoilt);
    // A second time it is one of guard's own, and needs no further word.
    project.rollback(&["--yes"]).expect(0);
    assert_eq!(project.everything(), before);
    let names = project.cluster().databases();
    assert!(
        names.iter().all(|name| !name.contains("__guard_")),
        "no side database is left: {names:?}"
    );
}

#[test]
fn fault_m2_a_script_that_would_run_programs_or_is_cut_off_or_is_anybodys_is_refused() {
    let project = Project::new();
    let path = project.dump(false);
    let sound = std::fs::read_to_string(&path).unwrap();
    let spoilt = |from: &str, to: &str| {
        assert!(sound.contains(from));
        sound.replacen(from, to, 1)
    };
    let end = "-- PostgreSQL database dump complete";
    let pwned = project.root.path().join("pwned");
    let obeyed = format!("\\! touch {}\n{end}", pwned.display());
    let unlocked = sound
        .lines()
        .find(|line| line.starts_with("\\restrict "))
        .map(|line| line.replace("\\restrict", "\\unrestrict"));
    let unlocked = format!("{}\n\\! touch {}\n{end}", unlocked.unwrap_or_default(), pwned.display());
    let cases = [
        (sound[..sound.len() / 2].to_owned(), 40, "cut off"),
        (spoilt(end, &obeyed), 11, "tells psql to do something"),
        (spoilt(end, &unlocked), 11, "tells psql to do something"),
        (
            spoilt(end, &format!("\\connect postgres\n{end}")),
            11,
            "holds no database but the server's own",
        ),
        (spoilt(end, &format!("SELECT 1 / 0;\n{end}")), 11, "does not load"),
    ];
    let before = project.everything();
    for (script, code, says) in cases {
        std::fs::write(&path, script).unwrap();
        project.rollback(&["--yes", "--trust-foreign"]).expect(code).says(says);
        assert_eq!(project.everything(), before);
        assert_eq!(project.cluster().databases(), ["shop"], "nothing is left beside it");
        assert!(!pwned.exists());
        let listed = project.guard().run(&["list"]).expect(0).stdout;
        assert!(listed.contains("foreign"), "{listed}");
    }
    std::fs::write(&path, &sound).unwrap();
    project.sh("chmod 666 backups/*.sql");
    project
        .rollback(&["--yes", "--trust-foreign"])
        .expect(40)
        .says("others can write");
    project.sh("chmod 600 backups/*.sql; cp backups/*.sql backups/database_20250404_040404.sql");
    project.rollback(&["--dry-run"]).expect(40).says("two copies of db");
}

#[test]
fn an_archive_is_read_with_suspicion() {
    let project = Project::with(None);
    let before = project.everything();
    let archive = format!("backups/minio_{TS}.tar.gz");
    for (script, says) in [
        (
            "tar czPf $A --transform 's,^objects/a.txt,../../x,' objects",
            "leads out",
        ),
        (
            "tar czPf $A --transform 's,^objects/a.txt,/x,S' objects/a.txt objects/sub",
            "leads out",
        ),
        ("tar cf - objects | gzip | head -c 100 > $A", "not whole"),
    ] {
        project.sh(&format!("rm -f {archive}; {}", script.replace("$A", &archive)));
        let ran = project.rollback(&["--yes", "--trust-foreign"]);
        assert!(ran.code == Some(40) || ran.code == Some(11), "{ran:?}");
        assert!(ran.everything().contains(says), "{ran:?}");
        assert_eq!(project.everything(), before);
    }
    // By the directory's own name, from within it, and by names alone; what a rollback keeps aside is no part of it.
    for pack in [
        "tar czf $A objects",
        "cd objects; tar czf ../$A 0-same a.txt sub/* link",
        "mkdir -p ../x/deep; cp -a objects ../x/deep/; rm -rf ../x/deep/objects/.guard*; tar czf $A -C ../x/deep/objects .",
    ] {
        project.sh(&format!("rm -rf {archive} ../x; {}", pack.replace("$A", &archive)));
        project.spoil();
        project
            .rollback(&["--yes", "--trust-foreign", "--only", "objects"])
            .expect(0);
        project.guard().run(&["delete", TS, "--yes", "--force"]).expect(0);
        project.sh("git reset --quiet --hard HEAD~1; rm untracked.txt");
        assert_eq!(project.everything(), before, "{pack}");
    }
}
