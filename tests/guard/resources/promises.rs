//! The promises that every kind of resource keeps, as one suite.

use guard::model::artifact::{Live, Work};
use guard::model::policy::DataRestore;
use guard::resources::{Resource, Slot};

use crate::support::Scene;

/// A real resource in a real scene.
pub trait Subject {
    /// The resource under test.
    fn resource(&self) -> &dyn Resource;
    /// Changes the live resource as a bad deployment would: something added, something altered, something removed.
    fn spoil_live(&self);
    /// The live state in full, seen by other means than guard's.
    fn observe(&self) -> String;
    /// Does what a run does between putting things back and looking at them: starts what was put back. Most kinds need
    /// nothing started.
    fn settle(&self) {}
}

/// Holds a subject to all promises. The subject is as before when it returns.
pub fn hold(subject: &dyn Subject, scene: &Scene) {
    let resource = subject.resource();
    let cx = &scene.cx;
    let slot = Slot::new(&scene.backup(), resource.name());
    let survey = resource.survey(cx);
    let refusals: Vec<_> = survey.obstacles.iter().filter(|obstacle| obstacle.refuses).collect();
    assert!(refusals.is_empty(), "the way back should be open: {refusals:?}");

    let original = subject.observe();
    resource.capture(&slot, cx).expect("captured");
    let artifact = resource.capture(&slot, cx).expect("captured twice");
    assert_eq!(subject.observe(), original, "a capture only reads");
    assert_eq!(
        artifact.fingerprint,
        resource.fingerprint(cx).expect("fingerprint"),
        "capture twice is capture once"
    );
    resource.prove(&artifact, &slot, cx).expect("the copy is sound");
    a_spoiled_copy_is_not_sound(resource, &artifact, &slot, scene);

    assert_eq!(resource.check(&artifact, cx).expect("checked"), Live::Matches);
    assert_eq!(resource.compare(&artifact, &slot, cx).expect("compared"), Live::Matches);
    let idle = resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .expect("prepared");
    assert_eq!(
        idle.work,
        Work::Unchanged,
        "nothing has changed, so nothing is to be done"
    );

    subject.spoil_live();
    let failed = subject.observe();
    assert_ne!(failed, original, "the test must change something");
    assert!(matches!(
        resource.check(&artifact, cx).expect("checked"),
        Live::Differs(_)
    ));
    resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .expect("prepared");
    let prepared = resource
        .prepare(&artifact, &slot, DataRestore::Always, cx)
        .expect("prepared twice");
    assert!(prepared.work.is_needed(), "{prepared:?}");
    assert_eq!(subject.observe(), failed, "preparing does not touch production");

    let displaced = resource.restore(&prepared, &artifact, &slot, cx).expect("restored");
    subject.settle();
    assert_eq!(subject.observe(), original, "restored is as it was");
    assert_eq!(resource.compare(&artifact, &slot, cx).expect("compared"), Live::Matches);
    assert_eq!(resource.check(&artifact, cx).expect("checked"), Live::Matches);
    let again = resource
        .restore(&prepared, &artifact, &slot, cx)
        .expect("restored twice");
    subject.settle();
    assert_eq!(
        subject.observe(),
        original,
        "restoring twice ends where restoring once ends"
    );
    assert_eq!(
        again.kept_as, displaced.kept_as,
        "the second restore still knows where the displaced state is"
    );
    assert_eq!(resource.check(&artifact, cx).expect("checked"), Live::Matches);

    let undone = resource.undo(&displaced, cx).expect("undone");
    subject.settle();
    assert_eq!(subject.observe(), failed, "undo brings back what was displaced");
    let redone = resource.undo(&undone, cx).expect("undo undone");
    subject.settle();
    assert_eq!(
        subject.observe(),
        original,
        "the undo of an undo is the restored state again"
    );
    resource.forget(&redone, cx).expect("forgotten");
    resource.forget(&redone, cx).expect("forgotten twice");
    assert_eq!(subject.observe(), original, "forgetting does not touch production");
}

/// Truncates, flips and removes each file of the copy in turn; none may pass.
fn a_spoiled_copy_is_not_sound(
    resource: &dyn Resource,
    artifact: &guard::model::artifact::Artifact,
    slot: &Slot,
    scene: &Scene,
) {
    assert!(!artifact.files.is_empty(), "a copy has files");
    for entry in &artifact.files {
        let path = slot.path_of(entry).expect("inside the backup");
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.get_mut(whole.len() / 2) {
            *byte ^= 1;
        }
        let shorter = whole[..whole.len() / 2].to_vec();
        for spoiled in [flipped, shorter] {
            if spoiled == whole {
                continue;
            }
            std::fs::write(&path, spoiled).unwrap();
            let error = resource
                .prove(artifact, slot, &scene.cx)
                .expect_err("a spoiled copy must not pass");
            assert!(error.copy_is_bad, "{error:?}");
        }
        std::fs::remove_file(&path).unwrap();
        let error = resource
            .prove(artifact, slot, &scene.cx)
            .expect_err("a missing file must not pass");
        assert!(error.copy_is_bad, "{error:?}");
        std::fs::write(&path, whole).unwrap();
    }
    resource
        .prove(artifact, slot, &scene.cx)
        .expect("the copy is sound again");
}
