//! TODO-timestamp
