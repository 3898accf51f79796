//! The witness: tells "the service is down" from "I cannot see", by asking somebody else at that moment.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Expectation, Probe};
use guard_model::health::{Answer, Class, Outcome};
use guard_model::name::ProbeName;
use guard_system::context::Context;

/// A probe as it was declared: itself, the name of its witness, and whether anybody said that it decides or does not.
pub type Asked = (Arc<dyn Probe>, Option<String>, bool);

/// Gives each probe its witness. A witness decides nothing itself, unless somebody says so: what is wrong with the
/// observer's network is no fault of the release.
#[must_use]
pub fn witnessed(asked: &[Asked]) -> Vec<Arc<dyn Probe>> {
    let named = |name: &str| asked.iter().find(|(probe, ..)| probe.name().as_str() == name);
    let is_witness = |name: &str| asked.iter().any(|(_, witness, _)| witness.as_deref() == Some(name));
    asked
        .iter()
        .map(|(probe, witness, says)| -> Arc<dyn Probe> {
            let witness = witness
                .as_deref()
                .and_then(named)
                .map(|(witness, ..)| Arc::clone(witness));
            let decides = probe.decides() && (*says || !is_witness(probe.name().as_str()));
            if witness.is_none() && decides == probe.decides() {
                return Arc::clone(probe);
            }
            Arc::new(Witnessed {
                probe: Arc::clone(probe),
                witness,
                decides,
            })
        })
        .collect()
}

struct Witnessed {
    probe: Arc<dyn Probe>,
    witness: Option<Arc<dyn Probe>>,
    decides: bool,
}

#[async_trait]
impl Probe for Witnessed {
    fn name(&self) -> &ProbeName {
        self.probe.name()
    }

    fn decides(&self) -> bool {
        self.decides
    }

    fn describe(&self) -> String {
        match &self.witness {
            Some(witness) => format!("{} (witness: {})", self.probe.describe(), witness.name()),
            None => self.probe.describe(),
        }
    }

    async fn read(&self, expectation: &Expectation, cx: &Context) -> Answer {
        let answer = self.probe.read(expectation, cx).await;
        let Some(witness) = &self.witness else { return answer };
        if answer.outcome != Outcome::Failed || !answer.class.is_some_and(could_be_the_network) {
            return answer;
        }
        // Asked now, and not remembered from a second ago: the network may just have gone.
        let seen = witness.read(&Expectation::default(), cx).await;
        if seen.outcome == Outcome::Ok {
            return answer;
        }
        let note = format!(
            "{}, but the witness {} is not seen either ({})",
            answer.note,
            witness.name(),
            seen.note
        );
        Answer::unknown(Class::Unreachable, note)
    }
}

/// Whether a broken network between here and there could look like this. A wrong status or body has come all the way.
fn could_be_the_network(class: Class) -> bool {
    matches!(
        class,
        Class::Dns | Class::Refused | Class::Unreachable | Class::TimeoutConnect | Class::TimeoutRead | Class::Reset
    )
}
