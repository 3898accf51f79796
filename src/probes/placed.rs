//! A probe of a further project: the same questions, asked at that project's engine.

use async_trait::async_trait;

use super::{Expectation, Probe};
use guard_model::health::Answer;
use guard_model::name::ProbeName;
use guard_system::context::Context;
use guard_system::docker::Engine;

/// A probe, and the engine that it asks.
pub struct Placed {
    /// The probe itself.
    pub inner: Box<dyn Probe>,
    /// The engine.
    pub engine: Engine,
}

#[async_trait]
impl Probe for Placed {
    fn name(&self) -> &ProbeName {
        self.inner.name()
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        self.inner.read(expectation, &cx.at(Some(&self.engine))).await
    }

    fn decides(&self) -> bool {
        self.inner.decides()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
