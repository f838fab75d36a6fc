//! Pieces of a body that go on together.

use bytes::{Bytes, BytesMut};

/// How much room is made at once for more to come, in bytes.
const ROOM: usize = 64 * 1024;

/// See the module.
#[derive(Default)]
pub enum Gathered {
    /// Nothing yet.
    #[default]
    Nothing,
    /// Usually there is only one piece, which is not copied.
    One(Bytes),
    /// Several, copied behind one another.
    More(BytesMut),
}

impl Gathered {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(data) => data.len(),
            Self::More(data) => data.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One more piece.
    pub fn add(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        *self = match std::mem::take(self) {
            Self::Nothing => Self::One(data),
            Self::One(first) => {
                let both = first.len() + data.len();
                let mut all = BytesMut::with_capacity((both * 4).min(ROOM).max(both));
                all.extend_from_slice(&first);
                all.extend_from_slice(&data);
                Self::More(all)
            }
            Self::More(mut all) => {
                all.extend_from_slice(&data);
                Self::More(all)
            }
        };
    }

    /// All in one piece.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(data) => data,
            Self::More(all) => all.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_order_and_one_alone_is_not_copied() {
        let mut gathered = Gathered::default();
        assert!(gathered.is_empty());
        let first = Bytes::from(vec![b'a'; 10]);
        gathered.add(Bytes::new());
        gathered.add(first.clone());
        assert_eq!(gathered.into_bytes().as_ptr(), first.as_ptr());

        let mut gathered = Gathered::default();
        for piece in ["a", "", "bc", "d"] {
            gathered.add(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(gathered.len(), 4);
        assert_eq!(gathered.into_bytes(), "abcd");
    }
}
