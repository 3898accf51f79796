//! A resource's error as the failure of a step, and whether trying again can help.

use guard_model::fact::Failure;
use guard_resources::ResourceError;
use guard_system::context::Context;
use guard_system::processes::CallError;

/// Whether trying again changes nothing: a program that is not there, a place that may not be written.
fn cannot_heal(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::Unsupported
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidInput
            );
        }
        if let Some(error) = error.downcast_ref::<CallError>() {
            return matches!(error, CallError::NotFound { .. });
        }
        cause = error.source();
    }
    false
}

/// A resource's error as the failure of a step.
pub(super) fn failed(error: &ResourceError, cx: &Context) -> Failure {
    let mut failure = Failure::from_error(error);
    failure.chain = failure.chain.iter().map(|cause| cx.redaction.clean(cause)).collect();
    failure.hint.clone_from(&error.hint);
    failure.permanent = error.copy_is_bad || cannot_heal(error);
    failure.interrupted = cx.stop.is_asked();
    failure
}
