//! sink-file
