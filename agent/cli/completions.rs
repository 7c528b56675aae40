//! cli-completions
