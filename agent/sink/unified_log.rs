//! sink-unified_log
