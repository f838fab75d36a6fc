//! A login drawn as messages between those who take part: SVG made here, without script, that
//! the page's style sheet colours. The page has the same facts as a list.

use vestibule_core::flow::diagram::{Arrow, Lane};

/// Width of the drawing, in its own units: as much as the page has.
const WIDTH: usize = 502;
/// Height of the names above.
const HEAD: usize = 40;
/// Height of one message.
const ROW: usize = 36;
/// Room for numbers on the left.
const LEFT: usize = 52;

/// A drawing.
#[derive(Debug)]
pub struct Diagram {
    /// Its width and height.
    pub size: (usize, usize),
    /// Names of the lanes, and where they stand.
    pub lanes: Vec<(usize, &'static str)>,
    /// Its messages from top to bottom.
    pub rows: Vec<Row>,
}

/// One message.
#[derive(Debug)]
pub struct Row {
    /// Which step.
    pub step: usize,
    /// Seconds since the first.
    pub after: u64,
    /// Height of its line.
    pub y: usize,
    /// Where its words begin or stand.
    pub text: usize,
    /// Where its line begins and ends.
    pub line: (usize, usize),
    /// Points of the head of the arrow.
    pub head: String,
    /// What is said.
    pub label: String,
    /// Class of its colour.
    pub mark: &'static str,
}

/// Draws messages; nothing if there are none.
pub fn draw(arrows: Vec<Arrow>) -> Option<Diagram> {
    if arrows.is_empty() {
        return None;
    }
    let lanes = Lane::of(&arrows);
    let middle = |lane| middle(lane, lanes.len());
    let size = (WIDTH, HEAD + ROW * arrows.len() + 10);
    let rows = (1..)
        .zip(arrows)
        .map(|(place, arrow)| {
            let y = HEAD + ROW * place - 8;
            let (from, to) = (middle(arrow.from), middle(arrow.to));
            let alone = from == to;
            let (from, to) = if alone {
                (from - 5, from + 5)
            } else {
                (from, to)
            };
            // The head lies before the lane that it points to.
            let back = if to > from { to - 7 } else { to + 7 };
            Row {
                step: arrow.step,
                after: arrow.after,
                y,
                text: usize::midpoint(from, to),
                line: (from, to),
                head: if alone {
                    String::new()
                } else {
                    format!("{to},{y} {back},{} {back},{}", y - 4, y + 4)
                },
                label: arrow.label,
                mark: match (arrow.failed, arrow.guess) {
                    (true, _) => "failed",
                    (false, true) => "guess",
                    (false, false) => "ok",
                },
            }
        })
        .collect();
    let lanes = lanes
        .iter()
        .map(|lane| (middle(*lane), lane.title()))
        .collect();
    Some(Diagram { size, lanes, rows })
}

/// Where a lane stands among so many.
fn middle(lane: Lane, lanes: usize) -> usize {
    let place = Lane::ALL.iter().position(|other| *other == lane);
    let each = (WIDTH - LEFT) / lanes;
    LEFT + each / 2 + each * place.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_stand_apart_and_inside_the_drawing() {
        for lanes in [4, 5] {
            let places: Vec<usize> = Lane::ALL[..lanes]
                .iter()
                .map(|lane| middle(*lane, lanes))
                .collect();
            assert!(places.windows(2).all(|pair| pair[0] + 90 <= pair[1]));
            assert!(places[lanes - 1] + 40 < WIDTH);
        }
        assert!(draw(Vec::new()).is_none());
    }
}
