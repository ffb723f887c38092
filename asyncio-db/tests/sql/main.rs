//! The SQL layer, on both databases.
