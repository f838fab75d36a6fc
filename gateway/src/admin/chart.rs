//! Bars of a day, as SVG without script; the table beside them has the same in words.

/// Width and height of a drawing, in its own units.
pub(super) const SIZE: (usize, usize) = (288, 48);

/// A bar.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    /// Whether it counts what went wrong.
    pub(super) bad: bool,
}

/// Bars for what went well with what went wrong on top; a bar for each pair, as high as it is
/// beside the highest.
pub(super) fn bars(values: &[(u64, u64)]) -> Vec<Bar> {
    let most = values.iter().map(|(good, bad)| good + bad).max();
    let most = most.unwrap_or_default().max(1);
    let (width, height) = SIZE;
    let step = width / values.len().max(1);
    // What happened at all is seen, however little it is beside the rest.
    let tall = |value: u64| match value {
        0 => 0,
        value => (usize::try_from(value * height as u64 / most))
            .unwrap_or(height)
            .max(2),
    };
    let mut bars = Vec::new();
    for (at, (good, bad)) in values.iter().enumerate() {
        let (x, good, bad) = (at * step, tall(*good), tall(*bad));
        if good > 0 {
            bars.push(Bar {
                x,
                y: height - good.min(height),
                height: good.min(height),
                bad: false,
            });
        }
        if bad > 0 {
            let top = height.saturating_sub(good + bad);
            bars.push(Bar {
                x,
                y: top,
                height: bad.min(height),
                bad: true,
            });
        }
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_inside_and_what_is_little_is_seen() {
        let drawn = bars(&[(0, 0), (1000, 0), (1, 0), (500, 500)]);
        assert_eq!(drawn.len(), 4, "nothing is drawn for nothing");
        assert!(
            drawn
                .iter()
                .all(|bar| bar.y + bar.height <= SIZE.1 && bar.x < SIZE.0)
        );
        assert_eq!(drawn[0].height, SIZE.1);
        assert_eq!(drawn[1].height, 2);
        assert!(drawn[3].bad && drawn[3].y + drawn[3].height <= drawn[2].y);
        assert!(bars(&[]).is_empty());
    }
}
