//! A streaming engine for EQL, the Event Query Language of Elastic, with Elasticsearch's semantics.
//!
//! It knows no clock, file, thread, operating system, JSON or ECS: events come in as [`Record`]s, their
//! time is the only time, and the same input gives the same matches.
//!
//! - [`parse`] gives a [`Query`](ast::Query), or compiler-style [`Diagnostic`]s.
//! - [`Program::new`] compiles it over the field ids of a [`Schema`].
//! - [`Engine`] runs programs over records and gives out [`Match`]es.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod ast;
mod bits;
mod choice;
mod compile;
mod diagnostic;
mod dispatch;
mod engine;
mod filters;
mod fold;
mod function;
mod index;
mod judgement;
mod key;
mod likeness;
mod lookup;
mod network;
mod parse;
mod partial;
mod parts;
mod predicate;
mod print;
mod record;
mod regular;
mod reload;
mod sample;
mod schema;
mod sequence;
mod sieve;
mod sightings;
mod table;
mod token;
mod value;
mod wildcard;
mod witness;

pub use compile::{Clause, Lineage, Options, Program, ProgramKind};
pub use diagnostic::{Diagnostic, Level, Position, Span};
pub use engine::{Engine, EngineOptions, EngineStatus, Match, Outcome, ProgramCounts};
pub use filters::Filters;
pub use judgement::Judgement;
pub use parse::{Limits, parse, parse_within};
pub use record::Record;
pub use reload::Reloaded;
pub use schema::{FieldId, Kind, Schema};
pub use value::{Scalar, Value};
