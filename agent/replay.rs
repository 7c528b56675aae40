//! TODO-replay
