//! What a client is told when it is refused.

/// The error response of OAuth: a status, a code of the RFC, and a sentence for developers.
///
/// The sentence is fixed text: nothing that came in goes out in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireError {
    /// HTTP status.
    pub status: u16,
    /// The RFC's error code.
    pub error: &'static str,
    /// One ASCII sentence.
    pub description: &'static str,
}

impl WireError {
    /// Puts the three together.
    pub const fn new(status: u16, error: &'static str, description: &'static str) -> Self {
        Self {
            status,
            error,
            description,
        }
    }
}
