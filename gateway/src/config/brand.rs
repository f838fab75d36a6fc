//! What an operator chooses for pages: a name, one color, a picture. `[instance]`.

use bytes::Bytes;
use vestibule_core::color::Color;

/// See the module.
#[derive(Debug, Clone)]
pub struct Brand {
    /// The name on pages.
    pub name: String,
    /// The one color; as close to it as can be read.
    pub color: Option<Color>,
    /// Before the name.
    pub logo: Option<Logo>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    /// Its media type.
    pub kind: &'static str,
    /// The file.
    pub bytes: Bytes,
}

impl Logo {
    /// Bytes of a picture at most: it is part of each page.
    pub const MAX: u64 = 32 << 10;

    /// A picture of a kind that browsers show, by how it begins; the name of a file says
    /// nothing.
    pub fn of(bytes: Vec<u8>) -> Option<Self> {
        let text = std::str::from_utf8(&bytes).map(str::trim_start);
        let kind = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            "image/webp"
        } else if text.is_ok_and(|text| {
            (text.starts_with("<svg") || text.starts_with("<?xml")) && text.contains("</svg>")
        }) {
            "image/svg+xml"
        } else {
            return None;
        };
        Some(Self {
            kind,
            bytes: bytes.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_known_by_its_bytes() {
        let kind = |bytes: &[u8]| Logo::of(bytes.to_vec()).map(|logo| logo.kind);
        assert_eq!(kind(b"\x89PNG\r\n\x1a\nx"), Some("image/png"));
        assert_eq!(
            kind(b"\n<svg viewBox='0 0 1 1'></svg>"),
            Some("image/svg+xml")
        );
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        for other in [
            &b""[..],
            b"<html></html>",
            b"<svg",
            b"GIF89a",
            b"\xff\xd8\xff",
        ] {
            assert_eq!(kind(other), None, "{other:?}");
        }
    }
}
