//! TODO-normaliser
