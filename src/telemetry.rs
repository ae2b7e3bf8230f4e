//! What operators see. (Stand-in until the real one lands.)
use std::time::Duration;
/// Counters.
#[derive(Clone, Default)]
pub struct Metrics;
impl Metrics {
    /// New.
    pub fn new() -> Self {
        Self
    }
    /// A commit.
    pub fn committed(&self, _batch: usize, _took: Duration) {}
    /// A settled delivery.
    pub fn settled(&self, _state: crate::model::delivery::DeliveryState) {}
}
impl Metrics {
    /// An attempt.
    pub fn attempt(&self, _class: crate::model::attempt::OutcomeClass, _took: Duration) {}
}
