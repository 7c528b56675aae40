//! TODO-detector
