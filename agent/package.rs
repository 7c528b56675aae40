//! TODO-package
