//! A deploy command that cleans up behind itself, and takes the old image with it.

use super::{Stage, same};

/// Removes what holds the old app's image, and the image, as `docker system prune --all` does; nobody else's.
const CLEANS: &str = r#"old=$(docker inspect -f '{{.Image}}' @P@-app-1) && ./deploy.sh crash && docker ps -aq --filter name=guard-pin-@P@-app- | xargs docker rm -f && docker rmi --force "$old" && ! docker image inspect "$old" >/dev/null 2>&1"#;

#[test]
fn fault_f14_a_release_that_removed_the_old_image_is_walked_back_out_of_the_backup() {
    let stage = Stage::open();
    let settings = stage.shop.directory().join("guard.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(
        &settings,
        text.replace("kind = \"images\"", "kind = \"images\"\nsave = \"only-here\""),
    )
    .unwrap();
    let before = stage.state();
    let line = CLEANS.replace("@P@", stage.shop.project());
    let ran = stage
        .guard()
        .run(&["deploy", "--data-restore", "always", "--", "sh", "-c", &line])
        .expect(21)
        .says("the deploy command took from images");
    assert!(ran.stderr.contains("it was had again"), "{}", ran.stderr);
    // The id of the running image is among what is compared.
    same("after the image was gone", &stage.state(), &before, &[]);
}
