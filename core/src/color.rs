//! The color that an operator chooses for pages, made readable wherever it is put.

use std::fmt;

/// A color of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// What text needs at least (WCAG 2.2, success criterion 1.4.3).
const READABLE: f64 = 4.5;

const BLACK: Color = Color([0; 3]);
const WHITE: Color = Color([255; 3]);

impl Color {
    /// Of its three parts: red, green, blue.
    pub const fn of(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// Reads `#rrggbb`, as styles and brand guides write it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let [_, red, green, blue] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    /// How well one is seen on the other: 1 for the same, 21 for black and white (WCAG 2.2,
    /// "contrast ratio").
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// The color closest to this that can be read on each of these grounds, and on which they
    /// can: darker where they are light, lighter where they are dark.
    pub fn readable_on(self, grounds: &[Self]) -> Self {
        let light = grounds.iter().all(|ground| ground.luminance() > 0.18);
        let end = if light { BLACK } else { WHITE };
        (0..=100)
            .map(|percent| self.toward(end, percent))
            .find(|mixed| {
                grounds
                    .iter()
                    .all(|ground| mixed.contrast(*ground) >= READABLE)
            })
            .unwrap_or(end)
    }

    fn toward(self, end: Self, percent: u16) -> Self {
        let mut mixed = self.0;
        for (part, end) in mixed.iter_mut().zip(end.0) {
            let sum = u16::from(*part) * (100 - percent) + u16::from(end) * percent;
            // A mean of bytes is one.
            *part = (sum / 100) as u8;
        }
        Self(mixed)
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn color(text: &str) -> Color {
        Color::parse(text).expect("a color")
    }

    #[test]
    fn only_six_digits_are_a_color() {
        assert_eq!(color("#1F5f5b").to_string(), "#1f5f5b");
        for text in [
            "",
            "#",
            "#123",
            "1f5f5b",
            "#1f5f5",
            "#1f5f5bb",
            "#+f5f5b",
            "red",
            "#1f5f5é",
            "#000;}body{}",
        ] {
            assert_eq!(Color::parse(text), None, "{text}");
        }
    }

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
        assert!((color("#777777").contrast(WHITE) - 4.48).abs() < 0.01);
        assert!((WHITE.contrast(WHITE) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_color_is_made_readable_and_changed_no_more_than_that() {
        let light = [color("#f6f5f2"), WHITE];
        let dark = [color("#16181b"), color("#1f2226")];
        for text in [
            "#000000", "#ffffff", "#ffd400", "#0078d4", "#7f7f7f", "#ff0000",
        ] {
            for grounds in [light, dark] {
                let read = color(text).readable_on(&grounds);
                for ground in grounds {
                    assert!(read.contrast(ground) >= READABLE, "{text} {read} {ground}");
                }
            }
        }
        assert_eq!(color("#1f5f5b").readable_on(&light), color("#1f5f5b"));
        assert_eq!(color("#7fc8c2").readable_on(&dark), color("#7fc8c2"));
    }
}
