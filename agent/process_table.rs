//! TODO-process_table
