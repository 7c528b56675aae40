//! sink-mod
