//! TODO-readable
