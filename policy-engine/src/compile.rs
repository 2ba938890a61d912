//! Policies turned from JSON into rules that decide.
