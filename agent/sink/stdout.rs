//! Alerts on standard output: NDJSON for programs, a readable form for people.

use std::io::Write;

use super::{Sink, SinkError};
use crate::alert::Alert;
use crate::readable::{self, Style};

/// Writes alerts to standard output, each at once.
#[derive(Debug)]
pub struct StdoutSink<W> {
    output: W,
    /// The readable form, unless NDJSON is asked for.
    style: Option<Style>,
}

impl<W: Write> StdoutSink<W> {
    /// Makes a sink; without a style it writes NDJSON.
    pub fn new(output: W, style: Option<Style>) -> Self {
        StdoutSink { output, style }
    }
}

impl<W: Write> Sink for StdoutSink<W> {
    fn deliver(&mut self, alert: &Alert) -> Result<(), SinkError> {
        let text = match self.style {
            Some(style) => readable::alert(alert, style),
            None => [alert.line(), "\n"].concat(),
        };
        let written = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        written.map_err(|error| SinkError::io("standard output", error))
    }
}
