//! cli-hunt
