//! Stories that chance would take long to find.
