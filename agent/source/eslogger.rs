//! src-eslogger
