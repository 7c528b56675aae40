//! src-lines
