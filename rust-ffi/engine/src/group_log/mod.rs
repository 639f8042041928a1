//! The log in which the members of consumer groups agree: a topic, of which each group has one partition.

/// The topic, unless another is named.
pub(crate) const DEFAULT_LOG: &str = "consumer-group";
