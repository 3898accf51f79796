//! A directory that lies in a restic repository.

use super::Recipe;

#[test]
fn a_directory_comes_back_from_restic_by_its_recipe() {
    let mut recipe = Recipe::of("restic.md", &[]);
    let (uploads, repository, password) = (
        recipe.place("uploads"),
        recipe.place("repository"),
        recipe.place("password"),
    );
    std::fs::write(&password, "canary-of-restic\n").unwrap();
    recipe.env("UPLOADS", &uploads);
    recipe.env("RESTIC_REPOSITORY", &repository);
    recipe.env("RESTIC_PASSWORD_FILE", &password);
    recipe.env("RESTIC_CACHE_DIR", &recipe.place("cache"));
    recipe.sh("restic init -q");
    recipe.sh("mkdir -p $UPLOADS/a/b; echo one >$UPLOADS/a/1; echo two >$UPLOADS/a/b/2; ln -s a/1 $UPLOADS/link; chmod 750 $UPLOADS/a");
    let observe = || {
        recipe.sh("cd $UPLOADS; find . -printf '%p %y %m %u %l\\n' | sort; find . -type f | sort | xargs -r grep -H .")
    };
    recipe.holds(
        "rm $UPLOADS/a/1; echo spoilt >$UPLOADS/a/b/2; echo new >$UPLOADS/new; chmod 700 $UPLOADS/a",
        "test -e $UPLOADS/a/1",
        &observe,
    );
}
