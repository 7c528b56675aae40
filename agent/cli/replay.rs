//! cli-replay
