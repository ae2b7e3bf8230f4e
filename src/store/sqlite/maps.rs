//! Maps that are asked several times an event. Their keys are numbers that the
//! store has given, or come from notifications whose signature is good: a hash
//! that withstands an attacker would be paid for nothing.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

pub(super) type Map<K, V> = HashMap<K, V, RandomState>;
pub(super) type Set<K> = HashSet<K, RandomState>;
