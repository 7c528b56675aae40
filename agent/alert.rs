//! TODO-alert
