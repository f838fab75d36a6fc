//! The operator's color in the style sheet.

use std::fmt::Write as _;

use vestibule_core::color::Color;

/// Grounds of pages by day and by night, where the color must be read; those of the style
/// sheet.
const LIGHT: [Color; 3] = [
    Color::of(0xf6, 0xf5, 0xf2),
    Color::of(0xff, 0xff, 0xff),
    Color::of(0xfd, 0xf3, 0xe2),
];
const DARK: [Color; 3] = [
    Color::of(0x16, 0x18, 0x1b),
    Color::of(0x1f, 0x22, 0x26),
    Color::of(0x2e, 0x26, 0x18),
];

/// The style sheet with this color, as close to it as can be read.
pub fn style(color: Option<Color>) -> String {
    let mut style = super::STYLE.to_owned();
    if let Some(color) = color {
        let (light, dark) = (color.readable_on(&LIGHT), color.readable_on(&DARK));
        let _ = write!(
            style,
            ":root {{ --accent: {light}; }}\n\
             @media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; }} }}\n"
        );
    }
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grounds_are_those_of_the_style_sheet() {
        for color in LIGHT.iter().chain(&DARK) {
            assert!(super::super::STYLE.contains(&color.to_string()), "{color}");
        }
    }
}
