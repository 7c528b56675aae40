//! sink-stdout
