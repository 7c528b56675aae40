//! cli-rules
