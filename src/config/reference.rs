//! The reference of every key, for `docs/configuration.md`, from the same tables that reading uses.

/// The page in Markdown.
pub fn reference() -> String {
    String::new()
}
