//! TODO-rule
