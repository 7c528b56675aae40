//! src-mod
