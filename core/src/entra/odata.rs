//! Text within the addresses of Microsoft Graph, which is an OData service.

/// A string literal: quotes within are doubled (OData 4.01 URL Conventions, §5.1.1.6.1).
/// Percent-encoding comes after this.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A filter for things that carry this tag.
pub fn with_tag(tag: &str) -> String {
    format!("tags/any(t:t eq {})", quoted(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_12_a_quote_in_a_name_ends_no_literal() {
        assert_eq!(quoted("O'Brien"), "'O''Brien'");
        assert_eq!(
            with_tag("vestibule:x' or startswith(displayName,'"),
            "tags/any(t:t eq 'vestibule:x'' or startswith(displayName,''')"
        );
    }
}
