//! Vedette: a macOS endpoint sensor that decides on the Mac itself.
//!
//! ```text
//! source ──▶ normaliser (+ process table) ──▶ order ──▶ detector (eql) ──▶ alert ──▶ sinks
//! ```
//!
//! See ARCHITECTURE.md for the map and the invariants.

pub mod accounts;
pub mod alert;
pub mod alert_log;
pub mod budget;
pub mod cli;
pub mod code_signature;
pub mod config;
pub mod content;
pub mod detector;
mod digest;
pub mod doctor;
pub mod event;
pub mod exception;
pub mod explain;
pub mod extension;
pub mod health;
pub mod hunt;
pub mod identity;
#[cfg(target_os = "macos")]
mod macos;
pub mod network;
pub mod normaliser;
pub mod observation;
pub mod package;
pub mod procargs;
pub mod process_table;
pub mod profile;
pub mod program;
pub mod readable;
pub mod recent;
pub mod redaction;
pub mod replay;
pub mod rule;
pub mod rule_test;
pub mod safe_mode;
pub mod schema;
mod seeded;
pub mod selftest;
pub mod sensor;
pub mod sink;
pub mod source;
pub mod status;
pub mod timestamp;
