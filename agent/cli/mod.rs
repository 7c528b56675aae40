//! cli-mod
