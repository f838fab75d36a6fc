//! Texts of others: what an eye does not see in them, and which ones a lax reader takes for
//! the same.

use std::cmp::Ordering;

/// Whether a character changes how others are read without being seen itself: controls but
/// for tab and line feed, bidirectional marks, joiners, fillers, tags.
pub fn is_deceptive(c: char) -> bool {
    (c.is_control() && c != '\t' && c != '\n')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// A text as a lax reader takes it: without case in any alphabet, blanks, or what is not
/// seen.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return seen_bytes(text).map(char::from).collect();
    }
    text.chars()
        .filter(|c| !is_deceptive(*c) && !c.is_whitespace())
        // Both ways: `ſ` has no other small letter, and the Kelvin sign no other capital.
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// Whether a lax reader takes `text` for `other`.
pub fn is_read_as(text: &str, other: &str) -> bool {
    if !(text.is_ascii() && other.is_ascii()) {
        return folded(text) == folded(other);
    }
    // The same without a copy, for what nearly every text is; mostly the length tells.
    let all_seen = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.len().cmp(&other.len()) {
        Ordering::Less => false,
        Ordering::Equal if all_seen(other) => text.eq_ignore_ascii_case(other),
        Ordering::Greater if all_seen(text) => false,
        _ => seen_bytes(text).eq(seen_bytes(other)),
    }
}

/// Whether a lax reader takes `text` for one of `others`, which are what an eye sees of them.
pub fn is_read_as_any(text: &str, others: &[&str]) -> bool {
    // Most texts are plain: then only letters of the same number can be taken for others.
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return others.iter().any(|other| text.eq_ignore_ascii_case(other));
    }
    let folded = folded(text);
    others
        .iter()
        .any(|other| folded.eq_ignore_ascii_case(other))
}

/// What [`folded`] leaves of ASCII.
fn seen_bytes(text: &str) -> impl Iterator<Item = u8> {
    text.bytes()
        .filter(|byte| byte.is_ascii_graphic())
        .map(|byte| byte.to_ascii_lowercase())
}

/// A text of others on one line of a terminal or log, of at most `most` characters: nothing
/// in it moves a cursor or turns other text around.
pub fn on_one_line(text: &str, most: usize) -> String {
    text.chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !is_deceptive(*c))
        .take(most)
        .collect()
}

/// The same for what may have several lines.
pub fn on_lines(text: &str) -> String {
    text.chars().filter(|c| !is_deceptive(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_mcp_03_what_a_lax_reader_takes_for_the_same() {
        for text in [
            "Tools/Call",
            "tools/call ",
            "tools/call\u{0}",
            "\u{feff}tools/call",
            "tool\u{17f}/call",
            "tools/ca\u{200b}ll",
        ] {
            assert!(is_read_as(text, "tools/call"), "{text:?}");
            assert!(is_read_as_any(text, &["", "x", "tools/call"]), "{text:?}");
            assert!(!is_read_as_any(text, &["tools/list"]), "{text:?}");
            assert!(is_read_as_any(text, &["TOOLS/call"]), "{text:?}");
        }
        assert!(is_read_as("tas\u{212a}Id", "taskId"));
        assert!(is_read_as("other name", "otherName"));
        for byte in 0..=127_u8 {
            let text = format!("Na{}me", char::from(byte));
            assert_eq!(
                is_read_as(&text, "name"),
                folded(&format!("{text}é")) == "nameé",
                "in ASCII as in any text: {text:?}"
            );
        }
        assert!(!is_read_as("tools/list", "tools/call"));
        assert!(!is_read_as("tools", "tools/call"));
        assert!(!is_read_as("", "tools/call"));
    }

    #[test]
    fn t_sto_07_nothing_in_a_text_obeys_or_turns_around() {
        assert_eq!(on_one_line("a\u{1b}]52;c;x\u{7}b", 80), "a]52;c;xb");
        assert_eq!(on_one_line("a\r\nb\tc\u{202e}d", 80), "a  b cd");
        assert_eq!(on_one_line("abcdef", 3), "abc");
        assert_eq!(on_lines("a\n\u{9b}2Jb"), "a\n2Jb");
    }
}
